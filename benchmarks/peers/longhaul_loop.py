"""The contestant of `benchmarks.peers` that is this project: strategy, step, loop and scorer.

trainer = make_trainer(task)        # before TensorFlow uses a device: it sets the threads
trainer.train(plan)
"""

import tensorflow as tf

from benchmarks.peers.reading import to_examples
from benchmarks.peers.task import Task, Trainer
from input_pipeline.batch_plan import BatchPlan
from input_pipeline.labels import SENTIMENTS
from trainer.learning import steps, train_state
from trainer.learning.objectives.registry import create_objective
from trainer.learning.scorer import Scorer
from trainer.machines.distribution import distribute
from trainer.machines.strategy import make_strategy


def make_trainer(task: Task) -> Trainer:
    """Returns the contestant."""
    return _Longhaul(task)


class _Longhaul:
    """See `Trainer`."""

    def __init__(self, task: Task):
        self.task = task
        self._strategy = strategy = make_strategy(task.config)
        self._reviews = to_examples(task.reviews)
        self._validation = to_examples(task.validation)
        config = task.config
        self._objective = create_objective(config, SENTIMENTS)
        with strategy.scope():
            state = train_state.create(self._objective, config, task.vocabulary_size)
        self._train_steps = steps.make_train_steps(
            strategy, self._objective, state, config, task.total_steps
        )
        self._scorer = Scorer(strategy, self._objective, state.evaluated, config)

    def train(self, plan: BatchPlan) -> None:
        iterator = distribute(self._strategy, self._reviews, plan)
        per_call = self.task.config.train.steps_per_call
        for first in range(0, len(plan), per_call):
            results = self._train_steps(iterator, tf.constant(min(per_call, len(plan) - first)))
            for values in results:  # the trainer reads them all, for its log
                values.numpy()

    def accuracy(self) -> float:
        outputs = self._scorer(self._validation, self.task.config.data.width_step)
        return self._objective.evaluate(outputs, self._validation)["accuracy"]
