"""The printed result of mode `evaluate`, for logits that are given."""

import numpy as np
import tensorflow as tf

from input_pipeline.examples import Examples
from input_pipeline.labels import SENTIMENTS
from tests.trainer.run.manifests import manifest_of
from trainer.learning.objectives.registry import create_objective
from trainer.modes.evaluate import run_test


def test_result_is_printed_in_total_and_by_length_with_each_review_once(config, capsys):
    config.data.update(source="sample", test_split="test")
    lengths = np.array([1, 64, 65, 512, 513, 2000])
    logits = np.array([1, -1, 1, 1, 1, 1], np.float32)
    tokens = tf.RaggedTensor.from_row_lengths(tf.ones(lengths.sum(), tf.int32), lengths)
    reviews = Examples(tokens, np.array([1, 1, 1, 1, 1, 0], np.int32))

    def score(shortened, width_step):
        assert shortened.lengths.max() == config.data.max_tokens
        assert width_step == config.data.width_step
        return logits

    objective = create_objective(config, SENTIMENTS)
    run_test(config.data, reviews, objective, score, manifest_of(4, score=0.75))
    loss = (np.log1p(np.exp(-1.0)) * 4 + np.log1p(np.exp(1.0)) * 2) / 6
    assert capsys.readouterr().out.splitlines() == [
        f"Test on 6 reviews of sample, test: loss {loss:.4f}, auc 0.4000, precision 0.8000, "
        "recall 0.8000, f1 0.8000",
        "   up to 64 tokens:      2 reviews, accuracy 0.500",
        "  up to 128 tokens:      1 reviews, accuracy 1.000",
        "  up to 512 tokens:      1 reviews, accuracy 1.000",
        "       more tokens:      2 reviews, accuracy 0.500",
        "  predicted:  negative  positive",
        "  negative           0         1",
        "  positive           1         4",
        "Test Accuracy: 0.667",
        "Checkpoint: step 4, validation accuracy 0.750",
    ]
