"""An objective's outputs for any number of reviews by one network.

scorer = Scorer(strategy, objective, network, config)
outputs = scorer(reviews, width_step=16)        # <float32>[reviews, ...]
"""

from collections.abc import Callable

import ml_collections
import numpy as np
import tensorflow as tf

from input_pipeline import batch_plan
from input_pipeline.examples import Examples
from input_pipeline.pipeline import Batch
from trainer.learning.objectives.objective import Objective
from trainer.learning.slices import Slice, side_by_side, slices_of
from trainer.machines.distribution import distribute
from trainer.machines.strategy import loop_device, needs_static_shapes
from trainer.model.network import Encoder


class Scorer:
    """Keeps the network's compiled form from one use to the next."""

    def __init__(
        self,
        strategy: tf.distribute.Strategy,
        objective: Objective,
        network: Encoder,
        config: ml_collections.ConfigDict,
        check: Callable[[], None] = lambda: None,
    ):
        """`config` is a whole one; `check` is called before each batch and may raise to leave."""
        self._check = check
        self._strategy = strategy
        self._device = loop_device(strategy)
        self._batch_size = config.evaluation.batch_size
        self._outputs = _make_outputs(strategy, objective, network, config.train.slices)

    def __call__(self, reviews: Examples, width_step: int) -> np.ndarray:
        """Returns outputs <float32>[reviews, ...] of reviews that are cut to length already."""
        plan = batch_plan.evaluation_plan(reviews.lengths, self._batch_size, width_step)
        outputs: np.ndarray | None = None
        batches = distribute(self._strategy, reviews, plan)
        for ids in plan.ids:  # and no batch beyond: the end of a distributed iterator is an error
            batch = next(batches)
            self._check()
            present = ids != batch_plan.NO_REVIEW
            with tf.device(self._device):
                scored = self._outputs(batch).numpy()
            if outputs is None:
                outputs = np.zeros((len(reviews), *scored.shape[1:]), np.float32)
            outputs[ids[present]] = scored[present]
        return np.zeros(0, np.float32) if outputs is None else outputs


def _make_outputs(
    strategy: tf.distribute.Strategy, objective: Objective, network: Encoder, slices: int
) -> Callable[[Batch], tf.Tensor]:
    """Returns a function from a distributed batch to its outputs <float32>[global batch, ...]."""

    def of_slice(part: Slice) -> tuple[tf.Tensor]:
        return (objective.outputs(network, part.batch),)

    def replica_outputs(batch: Batch) -> tf.Tensor:
        parts = side_by_side(slices_of(batch, slices), of_slice)
        return tf.concat([outputs for (outputs,) in parts], axis=0)

    # TPUs need a trace for each width. Elsewhere widths differ between batches too, and after the
    # second one the trace is relaxed and serves all of them.
    @tf.function(reduce_retracing=not needs_static_shapes(strategy), autograph=False)
    def outputs(batch: Batch) -> tf.Tensor:
        local = strategy.run(replica_outputs, (batch,))
        return strategy.gather(local, axis=0)

    return outputs
