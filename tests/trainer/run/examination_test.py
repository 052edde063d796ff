"""The results of a test, made from its outputs and the network of a checkpoint."""

import shutil

import numpy as np
import pytest
import tensorflow as tf

from input_pipeline.encoding import read_encoding
from input_pipeline.examples import Examples
from input_pipeline.vocabulary import UNKNOWN
from storage.errors import UserError
from storage.store import open_store
from tests.trainer.modes.runs import STEPS
from trainer.learning.explainer import Explainer
from trainer.learning.objectives.registry import create_objective
from trainer.machines.preemption import Stopped
from trainer.run.examination import examine, most_confident_mistakes

LONG = [UNKNOWN, 5, 6] * 40  # is cut to 48 tokens


def examine_three(finished, run_config, **options):
    """Returns the results of three reviews, whose logits are given."""
    store = open_store(str(finished))
    objective = create_objective(run_config, read_encoding(store).labels)
    tokens = tf.ragged.constant([[2, 3, 4], LONG, [7]], dtype=tf.int32)
    reviews = Examples(tokens, np.int32([1, 0, 0]))
    shares = objective.probabilities(np.float32([2.0, 3.0, -1.0]))
    return examine(run_config, store, STEPS, shares, reviews, "1 CPU", **options)


@pytest.fixture
def examined(finished, run_config):
    return examine_three(finished, run_config)


def test_results_are_of_reviews_in_full_length(examined):
    assert (examined.step, examined.devices) == (STEPS, "1 CPU")
    assert examined.probabilities[:, 1] == pytest.approx(1 / (1 + np.exp([-2.0, -3.0, 1.0])))
    assert examined.labels.tolist() == [1, 0, 0]
    assert examined.lengths.tolist() == [3, 120, 1]
    assert examined.unknown.tolist() == [0, 40, 0]


def test_mistake_has_the_words_that_the_network_reads_and_their_parts(examined, run_config):
    (mistake,) = examined.mistakes
    assert mistake.review == 1
    assert len(mistake.tokens) == len(mistake.attributions) == run_config.data.max_tokens
    assert mistake.tokens.tolist() == LONG[:24] + LONG[-24:]
    unknown = mistake.tokens == UNKNOWN
    assert (mistake.attributions[unknown] == 0).all()
    assert np.abs(mistake.attributions[~unknown]).sum() > 0


def test_run_does_not_fail_when_the_memory_does_not_suffice(finished, run_config, monkeypatch):
    def exhaust(*_):
        raise tf.errors.ResourceExhaustedError(None, None, "out of memory")

    monkeypatch.setattr(Explainer, "attributions", exhaust)
    (mistake,) = examine_three(finished, run_config).mistakes
    assert (len(mistake.tokens), len(mistake.attributions)) == (run_config.data.max_tokens, 0)


def test_request_to_stop_does_not_wait_for_the_mistakes(finished, run_config):
    def stop():
        raise Stopped("now")

    with pytest.raises(Stopped, match="now"):
        examine_three(finished, run_config, check=stop)


def test_checkpoint_that_is_gone_is_named(finished, run_config, tmp_path):
    store = open_store(str(shutil.copytree(finished, tmp_path / "run")))
    reviews = Examples(tf.ragged.constant([[2]], dtype=tf.int32), np.int32([1]))
    with pytest.raises(UserError, match="no step 7 in"):
        examine(run_config, store, 7, np.float32([[0.7, 0.3]]), reviews, "")


def test_mistakes_are_the_12_most_confident_of_each_kind_of_two_labels():
    confidence = np.linspace(0.6, 0.9, 30, dtype=np.float32)
    taken_for_positive = np.stack([1 - confidence, confidence], axis=1)
    shares = np.concatenate([taken_for_positive, taken_for_positive[:4, ::-1], [[0.1, 0.9]]])
    labels = np.int32([0] * 30 + [1] * 4 + [1])
    chosen = most_confident_mistakes(shares, labels)
    assert chosen.tolist() == [*range(29, 17, -1), 33, 32, 31, 30]


def test_mistakes_of_many_labels_are_24_in_all():
    generator = np.random.default_rng(0)
    shares = generator.dirichlet(np.ones(5), 500).astype(np.float32)
    labels = generator.integers(0, 5, 500).astype(np.int32)
    chosen = most_confident_mistakes(shares, labels)
    confidence = shares.max(axis=1)[chosen]
    assert len(chosen) == 24
    assert (np.diff(confidence) <= 0).all()
    assert (shares.argmax(axis=1)[chosen] != labels[chosen]).all()


def test_perfect_test_has_no_mistakes():
    assert most_confident_mistakes(np.float32([[0.9, 0.1]]), np.int32([0])).tolist() == []
