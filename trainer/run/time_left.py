"""How long a run will still take, by what its steps have taken so far.

    time_left = TimeLeft(work_left(config, data, objective, steps_per_epoch, step=0))
    time_left.advance(tokens)        # after each step; says the time left, once it is known
    time_left.seconds()              # None before that

Work is counted in tokens of training, each times the objective's `work`. A token of an evaluation
counts as a third of one, since a training step computes forward once and backward, which takes
about twice that (Kaplan et al. 2020, arXiv:2001.08361, section 2.1).
"""

import time
from collections.abc import Callable

import ml_collections
import numpy as np

from input_pipeline.examples import Examples
from input_pipeline.load import TrainingData
from trainer.learning.objectives.objective import Objective
from trainer.run import terminal
from trainer.run.clock import in_words

_STEPS, _SECONDS = 10, 5.0  # to measure before there is an estimate


class TimeLeft:
    """Counts down the work of a run. The first step, which compiles, is not measured."""

    def __init__(self, work: float, now: Callable[[], float] = time.monotonic):
        """`work` is in tokens of training, see `work_left`."""
        self._left, self._now = work, now
        self._began: float | None = None
        self._done, self._tokens, self._steps = 0.0, 0.0, 0
        self._said = False

    def advance(self, tokens: float, work: float = 1.0) -> None:
        """Counts a step's tokens, each of so much work, or the work of an evaluation.

        Says the time left, once.
        """
        self._left -= tokens * work
        if self._began is None:
            self._began = self._now()
            return
        self._done += tokens * work
        self._tokens += tokens
        self._steps += 1
        seconds = self.seconds()
        if seconds is not None and not self._said:
            self._said = True
            terminal.say(
                f"About {in_words(seconds)} to the end of the last epoch and the test, at "
                f"{self._tokens / self._elapsed():,.0f} tokens/s"
            )

    def seconds(self) -> float | None:
        """Returns the estimate, or None as long as too little was measured."""
        if self._began is None or self._steps < _STEPS or self._elapsed() < _SECONDS:
            return None
        return max(self._left, 0.0) * self._elapsed() / self._done

    def _elapsed(self) -> float:
        return self._now() - (self._began or 0.0)


def work_left(
    config: ml_collections.ConfigDict,
    data: TrainingData,
    objective: Objective,
    steps_per_epoch: int,
    step: int,
) -> float:
    """Returns the work from a step to the end of a run, in tokens of training.

    The reviews to train on may be in shards, of which lengths are not known before they are read.
    They are taken to be as long as those to validate, which are a random part of the same split.
    """
    epochs = config.train.epochs - step / steps_per_epoch
    beside = steps_per_epoch * config.data.unlabelled_batch_size
    done = np.clip(step / steps_per_epoch - np.arange(config.train.epochs), 0.0, 1.0)
    reviews = 0.0  # each counts its work
    for epoch, share in enumerate(done):
        learned = objective.at_epoch(epoch)
        read = len(data.train) + (0 if learned.labelled_only else beside)
        reviews += learned.work * read * (1.0 - share)
    training = reviews * float(data.validation.lengths.mean())
    test = np.minimum(data.test.lengths, config.data.max_tokens).sum() / 3
    return training + np.ceil(epochs) * evaluation_work(data.validation) + float(test)


def evaluation_work(reviews: Examples) -> float:
    """Returns the work of evaluating reviews, cut to length already, in tokens of training."""
    return float(reviews.lengths.sum()) / 3
