"""A run that starts from word vectors and whose layers join one by one: stopped and resumed."""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from input_pipeline import vectors
from input_pipeline.vocabulary import read_vocabulary
from storage.errors import UserError
from storage.store import open_store
from tests.trainer.modes.runs import numbers, start, tensors


@pytest.fixture(scope="module")
def tuned_config(run_config, finished, tmp_path_factory):
    """A config with vectors of the first 50 words, whose LSTM layer joins at step 50 of 82."""
    config = run_config.copy_and_resolve_references()
    words = read_vocabulary(open_store(str(finished))).tokens[2:52]
    rows = np.random.default_rng(0).normal(size=(50, 8)).astype(np.float32)
    path = tmp_path_factory.mktemp("vectors") / "vectors.txt"
    path.write_bytes(vectors.to_bytes(words, rows))
    config.model.vectors = str(path)
    config.optimizer.update(layer_decay=0.5, unfreeze_steps=50)
    config.train.update(average_decay=0.9, histograms=False, profile_steps=())
    return config


def embedding(workdir, step, part="model"):
    """The embedding of a checkpoint <float32>[200, 8]."""
    found = tensors(workdir, step)
    (name,) = (n for n in found if re.match(f"{part}/embedding", n))
    return np.frombuffer(found[name], np.float32).reshape(-1, 8)


def test_resumed_run_has_the_same_bits_and_needs_its_vectors_no_more(
    tuned_config, tmp_path, capsys
):
    ended = tmp_path / "ended"
    start(tuned_config, ended)
    file = tuned_config.model.vectors
    assert f"Word vectors of {file}: for 50 of the 199 words" in capsys.readouterr().out
    _, rows = vectors.read(Path(file), read_vocabulary(open_store(str(ended))).tokens, size=8)
    for part in ("model", "average"):  # the embedding would join at step 100
        np.testing.assert_array_equal(embedding(ended, 82, part)[2:52], rows)

    resumed = tmp_path / "resumed"
    shutil.copytree(ended, resumed)
    for step in (80, 82):
        shutil.rmtree(resumed / "checkpoints" / str(step))
    Path(file).rename(tmp_path / "elsewhere.txt")
    start(tuned_config, resumed)
    assert "at step 60" in capsys.readouterr().out
    assert numbers(resumed) == numbers(ended)
    assert tensors(resumed) == tensors(ended)


def test_run_whose_vectors_can_not_be_read_writes_nothing(tuned_config, tmp_path):
    config = tuned_config.copy_and_resolve_references()
    config.model.vectors = str(tmp_path / "missing.txt")
    with pytest.raises(UserError, match=r"^config\.model\.vectors: .* is not a file; give"):
        start(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()
