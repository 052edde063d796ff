"""Run with `python -m pytest tests/trainer/run/initial_vectors_test.py`."""

import numpy as np
import pytest

from input_pipeline import vectors
from input_pipeline.labels import SENTIMENTS
from input_pipeline.vocabulary import Vocabulary
from storage.errors import UserError
from tests.trainer.learning.random_reviews import strategy_of
from trainer.learning import train_state
from trainer.learning.objectives.registry import create_objective
from trainer.run.initial_vectors import load_vectors

VOCABULARY = Vocabulary(("<pad>", "<unk>", "film", "dull", "fine"), rules=2)
ROWS = np.arange(16, dtype=np.float32).reshape(2, 8)


@pytest.fixture
def with_vectors(config, tmp_path):
    """A config of a network with averaged weights, and with vectors of two words."""
    path = tmp_path / "vectors.txt"
    path.write_bytes(vectors.to_bytes(["fine", "film"], ROWS))
    config.model.vectors = str(path)
    config.train.average_decay = 0.9
    return config


def tables(state, strategy):
    """The embeddings of all networks and replicas, <float32>[5, 8] each."""
    return [
        copy.numpy()
        for network in (state.model, state.average)
        for copy in strategy.experimental_local_results(network.embedding.embeddings.value)
    ]


@pytest.mark.parametrize("replicas", [1, 2])
def test_words_that_are_found_get_their_vectors_and_others_keep_theirs(
    with_vectors, replicas, capsys
):
    strategy = strategy_of(replicas)
    objective = create_objective(with_vectors, SENTIMENTS)
    with strategy.scope():
        state = train_state.create(objective, with_vectors, len(VOCABULARY))
        before, *_ = tables(state, strategy)
        load_vectors(with_vectors, VOCABULARY, state)
    expected = before.copy()
    expected[[4, 2]] = ROWS
    for table in tables(state, strategy):
        np.testing.assert_array_equal(table, expected)
    assert capsys.readouterr().out == (
        f"Word vectors of {with_vectors.model.vectors}: for 2 of the 4 words of the vocabulary\n"
    )


def test_home_folder_is_found(with_vectors, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    state = train_state.create(
        create_objective(with_vectors, SENTIMENTS), with_vectors, len(VOCABULARY)
    )
    with_vectors.model.vectors = "~/vectors.txt"
    load_vectors(with_vectors, VOCABULARY, state)
    np.testing.assert_array_equal(tables(state, strategy_of(1))[0][2], ROWS[1])
    with_vectors.model.vectors = "~nobody-of-this-name/vectors.txt"
    with pytest.raises(UserError, match=r"^config\.model\.vectors: .*; give a full path$"):
        load_vectors(with_vectors, VOCABULARY, state)
