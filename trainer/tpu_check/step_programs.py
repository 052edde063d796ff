"""A config's training step at each width of its plan, as a program for a TPU.

    with Compiler("v5e:2x2") as compiler:
        plan = read_plan(config, compiler.cores)
        for width in plan.widths:
            check_width(config, plan, compiler, width)

The step is `steps.train_step`, the one that a strategy runs on each replica, traced outside of a
strategy, where the sum over replicas is the identity. TensorFlow lowers it to StableHLO.
"""

import re
import time
from pathlib import Path
from typing import NamedTuple

import ml_collections
import numpy as np
import tensorflow as tf

from input_pipeline import load
from input_pipeline.pipeline import Batch
from storage.errors import UserError
from trainer.learning import steps, train_state
from trainer.run import workdir
from trainer.tpu_check.compiler import Compiler, Failed, Program, first_line

_ROOT = str(Path(__file__).resolve().parents[2])


class Plan(NamedTuple):
    """An epoch by widths; each epoch has the same."""

    widths: list[int]
    steps: dict[int, int]
    tokens: dict[int, int]  # words, padding left out, over all replicas
    cores: int
    rows: int  # reviews of a step on one core
    total_steps: int
    vocabulary_size: int


def read_plan(config: ml_collections.ConfigDict, cores: int) -> Plan:
    """The widths of the run's own reviews; UserError when a batch can't be shared among cores."""
    divisor = cores * config.train.micro_batches
    if config.train.batch_size % divisor:
        raise UserError(
            f"config.train.batch_size: got {config.train.batch_size}, accepted is a multiple of "
            f"{divisor}, the cores times config.train.micro_batches"
        )
    words = workdir.initial_vocabulary(config)
    batch_size = config.train.batch_size
    train = load.load_training_data(config.data, words).train
    epoch = train.epoch(batch_size, config.data.width_step, config.seed, epoch=0)
    real, places = np.array([epoch.sizes(step) for step in range(len(epoch))]).T
    of_steps = places // batch_size
    widths = sorted(set(of_steps.tolist()))
    return Plan(
        widths,
        {width: int((of_steps == width).sum()) for width in widths},
        {width: int(real[of_steps == width].sum()) for width in widths},
        cores,
        batch_size // cores,
        config.train.epochs * len(epoch),
        len(words),
    )


def check_width(
    config: ml_collections.ConfigDict, plan: Plan, compiler: Compiler, width: int
) -> Program:
    """The program of the training step at one width of the plan; Failed when there is none."""
    if config.model.kernel == "auto":
        config = config.copy_and_resolve_references()
        config.model.kernel = "xla"  # as it is on a TPU
    state = train_state.create(config, plan.vocabulary_size)
    shape = [plan.rows]
    batch = Batch(
        tf.TensorSpec([*shape, width], tf.int32),
        tf.TensorSpec(shape, tf.int32),
        tf.TensorSpec(shape, tf.float32),
        tf.TensorSpec(shape, tf.float32),
    )

    @tf.function(jit_compile=True, autograph=False)
    def step(*batch: tf.Tensor) -> tf.Tensor:
        return steps.train_step(state, Batch(*batch), config, plan.total_steps)

    started = time.monotonic()
    graph = None
    try:
        graph = step.get_concrete_function(*batch).graph
        text = step.experimental_get_compiler_ir(*batch)(stage="stablehlo")
    # Whatever an operation says that can't be traced or lowered is the answer here.
    except (tf.errors.OpError, ValueError, TypeError) as error:
        raise Failed(explain(str(error), graph)) from error
    lowered = time.monotonic() - started
    try:
        program = compiler.compile(text)
    except Failed as error:
        raise Failed(explain(str(error), graph)) from error
    return program._replace(seconds=program.seconds + lowered)


def gradient_bytes(config: ml_collections.ConfigDict, vocabulary_size: int) -> int:
    """What a replica gives to the sum over replicas in a step: dense gradients and three sums."""
    weights = train_state.create(config, vocabulary_size).model.weights
    return 4 * (3 + sum(int(np.prod(weight.shape)) for weight in weights))


def explain(message: str, graph: tf.Graph | None) -> str:
    """One line: the operation that an error is about, where in our sources it is made, and why."""
    named = re.search(r'op_name="([^"]+)"|\{\{node ([^}]+)\}\}', message)
    name = (named[1] or named[2]) if named else ""
    frames = _traceback(graph, name) if graph is not None and name else []
    frames += re.findall(r'File "/?([^"]+)", line (\d+)', message)
    kind = re.search(r"(\w+) \(No registered '", message)
    reason = f"XLA has no {kind[1]}" if kind else first_line(message)
    return "; ".join(filter(None, (_our_line(frames), name, reason)))


def _traceback(graph: tf.Graph, name: str) -> list[tuple[str, str]]:
    """Where the operation was made that has a name of the compiler's, or the loop it is part of."""
    made = {op.name: op for op in graph.get_operations()}
    parts = name.split("/")
    for end in range(len(parts), 0, -1):
        op = made.get("/".join(parts[:end]))
        if op is not None:
            return [(frame.filename, str(frame.lineno)) for frame in op.traceback]
    return []


def _our_line(frames: list[tuple[str, str]]) -> str:
    """The innermost of the frames that is in the product; some files come without the first /."""
    root = _ROOT.lstrip("/")
    ours = re.compile(rf"{re.escape(root)}/((?:trainer|input_pipeline)/.+)")
    places = [(ours.fullmatch(file.lstrip("/")), line) for file, line in frames]
    return next((f"{place[1]}:{line}" for place, line in reversed(places) if place), "")
