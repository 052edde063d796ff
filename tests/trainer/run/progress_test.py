import math

import pytest

from input_pipeline.labels import SENTIMENTS
from tests.trainer.run.manifests import manifest_of
from trainer.learning.objectives.classification import Classification
from trainer.run.progress import Progress, from_checkpoint


@pytest.mark.parametrize(
    ("scores", "epochs"),
    [
        ([], 0),
        ([0.5], 0),
        ([0.5, 0.6, 0.7], 0),
        ([0.5, 0.7, 0.6, 0.7], 2),
        ([0.5, 0.5, 0.5], 2),
        ([math.nan, 0.1], 0),
        ([0.1, math.nan, math.nan], 2),
        ([math.nan, math.nan], 1),
    ],
)
def test_epochs_without_gain_are_those_since_the_best_score(scores, epochs):
    assert Progress(scores=scores).epochs_without_gain() == epochs


def test_scores_are_those_of_the_validations_so_far():
    lines = (
        b'{"kind": "train", "step": 2, "accuracy": 0.1}\n'
        b'{"kind": "validation", "step": 4, "accuracy": 0.75}\n'
        b'{"kind": "validation", "step": 8, "accuracy": null}\n'
    )
    progress = from_checkpoint(manifest_of(8), lines, Classification(SENTIMENTS, 0.0))
    assert progress.step == 8
    assert progress.scores == pytest.approx([0.75, math.nan], nan_ok=True)
