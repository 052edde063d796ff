"""What is measured of words by leaving them out."""

import asyncio

import numpy as np
import pytest

from trainer.serving.leaving_out import measure


def measured(labels, logits):
    """Measures a review whose softmax is of these logits, given by the number of its words."""

    async def predict(texts):
        chosen = np.array([logits[len(text.split())] for text in texts], np.float64)
        shares = np.exp(chosen) / np.exp(chosen).sum(axis=1, keepdims=True)
        return shares.astype(np.float32)

    return asyncio.run(measure("fine film", labels, predict))


@pytest.mark.parametrize("sign", [1, -1])
def test_effects_on_a_certain_prediction_are_not_rounded_away(sign):
    found = measured(("neg", "pos"), {2: (0, 30 * sign), 1: (0, 27 * sign)})
    assert found.label == ("pos" if sign > 0 else "neg")
    assert found.explained == "pos"
    assert found.left_out == pytest.approx([3 * sign, 3 * sign], rel=1e-4)


def test_of_more_labels_the_predicted_one_is_explained_against_all_others():
    found = measured(("a", "b", "c"), {2: (0, 0, 30), 1: (0, 2, 30)})
    assert found.explained == "c"
    # log(e^30 / 2) - log(e^30 / (1 + e^2))
    expected = np.log((1 + np.exp(2)) / 2)
    assert found.left_out == pytest.approx([expected, expected], rel=1e-4)
