"""Logits of any number of reviews by one model.

scorer = Scorer(strategy, model, batch_size=256)
logits = scorer(examples, width_step=16)
"""

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from input_pipeline import batch_plan
from input_pipeline.examples import Examples
from trainer.learning import steps
from trainer.machines.strategy import distribute, loop_device, needs_static_shapes
from trainer.model.network import StackedLSTM


class Scorer:
    """Keeps the model's compiled form from one use to the next."""

    def __init__(
        self,
        strategy: tf.distribute.Strategy,
        model: StackedLSTM,
        batch_size: int,
        check: Callable[[], None] = lambda: None,
    ):
        """`check` is called before each batch and may raise to leave."""
        self._check = check
        self._strategy = strategy
        self._device = loop_device(strategy)
        self._batch_size = batch_size
        self._logits = steps.make_logits(strategy, model, needs_static_shapes(strategy))

    def __call__(self, reviews: Examples, width_step: int) -> np.ndarray:
        """Logits <float32>[reviews], of reviews that are shortened already; each is seen once."""
        plan = batch_plan.evaluation_plan(reviews.lengths, self._batch_size, width_step)
        logits = np.zeros(len(reviews), np.float32)
        batches = distribute(self._strategy, reviews, plan)
        for ids in plan.ids:  # and no batch beyond: the end of a distributed iterator is an error
            batch = next(batches)
            self._check()
            present = ids != batch_plan.NO_REVIEW
            with tf.device(self._device):
                scored = self._logits(batch).numpy()
            logits[ids[present]] = scored[present]
        return logits
