"""The contestants of `benchmarks.peers`: what each is, a turn of one, and a whole training.

with own_process("benchmarks.peers.contestants") as call:
    turn = call("take_turn", "torch", path, 100, 0)

A process holds one contestant, whose libraries have their threads to themselves.
"""

import functools
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.common import import_quietly
from benchmarks.peers.task import (
    Task,
    Trainer,
    bucketed,
    read_task,
    shuffled,
    tokens_and_padding,
)
from input_pipeline.batch_plan import BatchPlan

_WARM_UP_STEPS = 3


class Contestant(NamedTuple):
    """One row of the table."""

    title: str
    module: str  # its `make_trainer` takes a task and the options
    options: dict[str, Any]
    plan: Callable[[Task, int, int], BatchPlan]  # (task, first step, steps)


_LONGHAUL, _KERAS, _TORCH = (
    f"benchmarks.peers.{name}" for name in ("longhaul_loop", "keras_fit", "torch_lstm")
)
CONTESTANTS = {
    "longhaul": Contestant("longhaul", _LONGHAUL, {}, bucketed),
    "keras": Contestant("Keras fit, mask", _KERAS, {"mask": True}, shuffled),
    "keras-no-mask": Contestant("Keras fit, no mask", _KERAS, {"mask": False}, shuffled),
    "torch": Contestant("PyTorch, padded", _TORCH, {"packed": False}, shuffled),
    "torch-packed": Contestant("PyTorch, packed", _TORCH, {"packed": True}, shuffled),
    "torch-bucketed": Contestant("PyTorch, bucketed", _TORCH, {"packed": False}, bucketed),
}


class Turn(NamedTuple):
    """What one turn of a contestant measured."""

    tokens_per_second: float
    padding: float  # fraction of token slots


class Point(NamedTuple):
    """How far a training was when it was evaluated."""

    epochs: float
    seconds: float  # of training alone, with tracing
    accuracy: float  # on the validation reviews


def take_turn(name: str, path: Path, steps: int, turn: int) -> Turn:
    """Trains for `steps` steps and measures; `turn` decides on which reviews.

    The first call in a process reads the reviews and warms up before it measures.
    """
    trainer, plan_steps = _warm_trainer(name, path), CONTESTANTS[name].plan
    plan = plan_steps(trainer.task, turn * steps, steps)
    tokens, padding = tokens_and_padding(trainer.task, plan)
    begin = time.perf_counter()
    trainer.train(plan)
    return Turn(tokens / (time.perf_counter() - begin), padding)


def train_until(
    name: str, path: Path, accuracy: float, seed: int, epochs: int, evaluations: int
) -> list[Point]:
    """Trains from the start until an evaluation reaches `accuracy`, or `epochs` are over.

    The learning rate falls to 0 at the end of `epochs`; 0 takes the config's number. There are
    `evaluations` in each epoch. The last point is the one that reached the accuracy.
    """
    trainer = _make_trainer(name, path, seed, epochs)
    task, points, seconds, done = trainer.task, list[Point](), 0.0, 0
    for number in range(1, task.config.train.epochs * evaluations + 1):
        goal = round(number * task.steps_per_epoch / evaluations)
        plan = CONTESTANTS[name].plan(task, done, goal - done)
        begin = time.perf_counter()
        trainer.train(plan)
        seconds += time.perf_counter() - begin
        done = goal
        points.append(Point(number / evaluations, seconds, float(trainer.accuracy())))
        if points[-1].accuracy >= accuracy:
            break
    return points


@functools.cache
def _warm_trainer(name: str, path: Path) -> Trainer:
    trainer = _make_trainer(name, path, seed=0, epochs=0)
    last = trainer.task.total_steps - _WARM_UP_STEPS
    trainer.train(CONTESTANTS[name].plan(trainer.task, last, _WARM_UP_STEPS))
    return trainer


def _make_trainer(name: str, path: Path, seed: int, epochs: int) -> Trainer:
    contestant = CONTESTANTS[name]
    module = import_quietly(contestant.module)
    return module.make_trainer(read_task(path, seed, epochs), **contestant.options)
