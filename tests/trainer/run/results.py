"""Results of tests, for tests of what shows them."""

import numpy as np

from trainer.run.test_results import Mistake, TestResults


def results_of(**changes) -> TestResults:
    """Returns the results of three reviews, one of them a mistake."""
    shares = np.float32([[0.9, 0.1], [0.2, 0.8], [0.3, 0.7]])
    fields = {
        "step": 40,
        "tested": "2025-01-31T12:00:00+00:00",
        "devices": "1 CPU",
        "probabilities": shares,
        "labels": np.int32([0, 1, 0]),
        "lengths": np.int32([5, 9, 3]),
        "unknown": np.int32([0, 2, 1]),
        "mistakes": (Mistake(2, np.int32([3, 1, 4]), np.float32([0.5, 0.0, -0.25])),),
    }
    return TestResults(**{**fields, **changes})


def random_results(labels: int, reviews: int, seed: int = 0, **changes) -> TestResults:
    """Returns results of random reviews, most of them right, the first mistakes explained."""
    generator = np.random.default_rng(seed)
    numbers = np.random.default_rng(99).integers(0, labels, reviews).astype(np.int32)
    lengths = np.random.default_rng(98).integers(2, 700, reviews).astype(np.int32)
    logits = generator.normal(2.0 * np.eye(labels)[numbers], 1.0)
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    wrong = np.flatnonzero(shares.argmax(axis=1) != numbers)[:5].tolist()
    tokens = [generator.integers(0, 5, min(lengths[review], 60), np.int32) for review in wrong]
    parts = [generator.normal(size=len(row)).astype(np.float32) for row in tokens]
    fields = {
        "probabilities": shares.astype(np.float32),
        "labels": numbers,
        "lengths": lengths,
        "unknown": lengths // 20,
        "mistakes": tuple(map(Mistake, wrong, tokens, parts)),
    }
    return results_of(**{**fields, **changes})
