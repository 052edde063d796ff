"""A config's training step at each width of its batches, as a program for one TPU core.

    with Compiler("v5e:2x2") as compiler:
        plan = read_plan(config, compiler.cores)
        for width in plan.widths:
            compile_step(config, plan, compiler, width)

The step is `steps.train_step`, which a strategy runs on each replica. Here it is traced without a
strategy, so that the sum over replicas is the identity. TensorFlow lowers it to StableHLO.
"""

import re
import time
from pathlib import Path
from typing import NamedTuple

import ml_collections
import numpy as np
import tensorflow as tf

from input_pipeline import load
from input_pipeline.encoding import Encoding
from input_pipeline.pipeline import Batch
from storage.errors import UserError
from trainer.learning import steps, train_state
from trainer.learning.objectives.objective import train_metric_names
from trainer.learning.objectives.registry import create_objective
from trainer.run import workdir
from trainer.tpu_check.compiler import CompileError, Compiler, Program, first_line

_ROOT = str(Path(__file__).resolve().parents[2])


class Plan(NamedTuple):
    """One epoch by the widths of its batches; all epochs have the same."""

    widths: list[int]  # in token slots
    steps: dict[int, int]  # by width
    tokens: dict[int, int]  # by width, over all cores
    cores: int
    reviews_per_core: int  # in one step, those without labels too
    total_steps: int  # of the run
    encoding: Encoding


def read_plan(config: ml_collections.ConfigDict, cores: int) -> Plan:
    """Returns the plan of the run's own reviews; UserError when the cores don't divide a batch."""
    batch_size, unlabelled = config.train.batch_size, config.data.unlabelled_batch_size
    divisor = max(cores, config.train.slices)
    for field, size in (
        ("train.batch_size", batch_size),
        ("data.unlabelled_batch_size", unlabelled),
    ):
        if size % divisor:
            raise UserError(
                f"config.{field}: got {size}, accepted is a multiple of {divisor}, the cores and "
                "config.train.slices"
            )
    encoding = workdir.initial_encoding(config)
    train = load.load_training_data(config.data, encoding).train
    epoch = train.epoch(batch_size, config.data.width_step, config.seed, epoch=0)
    _, tokens, slots = np.array([epoch.sizes(step) for step in range(len(epoch))]).T
    rows = batch_size + unlabelled
    widths = slots // rows  # <int>[steps]
    distinct = sorted(set(widths.tolist()))
    return Plan(
        widths=distinct,
        steps={width: int((widths == width).sum()) for width in distinct},
        tokens={width: int(tokens[widths == width].sum()) for width in distinct},
        cores=cores,
        reviews_per_core=rows // cores,
        total_steps=config.train.epochs * len(epoch),
        encoding=encoding,
    )


def compile_step(
    config: ml_collections.ConfigDict, plan: Plan, compiler: Compiler, width: int
) -> Program:
    """Compiles the training step at one width of the plan.

    Raises CompileError, which names the operation and the place in our sources, when the step
    can't be traced, lowered or compiled.
    """
    config = config.copy_and_resolve_references()
    config.strategy.reduction = "ring"  # as on a TPU
    if config.model.kernel == "auto":
        config.model.kernel = "xla"
    objective = create_objective(config, plan.encoding.labels)
    state = train_state.create(objective, config, len(plan.encoding.vocabulary))
    shape = [plan.reviews_per_core]
    batch = Batch(
        tokens=tf.TensorSpec([*shape, width], tf.int32),
        lengths=tf.TensorSpec(shape, tf.int32),
        labels=tf.TensorSpec(shape, tf.int32),
        weights=tf.TensorSpec(shape, tf.float32),
    )

    @tf.function(jit_compile=True, autograph=False)
    def step(*batch: tf.Tensor) -> tf.Tensor:
        return steps.train_step(objective, state, Batch(*batch), config, plan.total_steps)

    started = time.monotonic()
    graph = None
    try:
        graph = step.get_concrete_function(*batch).graph
        text = step.experimental_get_compiler_ir(*batch)(stage="stablehlo")
    # What an operation raises when it can't be traced or lowered.
    except (tf.errors.OpError, ValueError, TypeError) as error:
        raise CompileError(explain(str(error), graph)) from error
    lowering_seconds = time.monotonic() - started
    try:
        program = compiler.compile(text)
    except CompileError as error:
        raise CompileError(explain(str(error), graph)) from error
    return program._replace(seconds=program.seconds + lowering_seconds)


def gradient_bytes(config: ml_collections.ConfigDict, encoding: Encoding) -> int:
    """Returns the size of what replicas sum up in a step: dense gradients and metrics."""
    objective = create_objective(config, encoding.labels)
    weights = train_state.create(objective, config, len(encoding.vocabulary)).model.weights
    metrics = 2 * len(train_metric_names(objective))
    return 4 * (metrics + sum(int(np.prod(weight.shape)) for weight in weights))


def explain(message: str, graph: tf.Graph | None) -> str:
    """Returns one line: the place in our sources, the operation that fails, and the reason."""
    named = re.search(r'op_name="([^"]+)"|\{\{node ([^}]+)\}\}', message)
    name = (named[1] or named[2]) if named else ""
    frames = _frames(graph, name) if graph is not None and name else []
    frames += re.findall(r'File "/?([^"]+)", line (\d+)', message)
    kind = re.search(r"(\w+) \(No registered '", message)
    reason = f"XLA has no {kind[1]}" if kind else first_line(message)
    return "; ".join(filter(None, (_our_line(frames), name, reason)))


def _frames(graph: tf.Graph, name: str) -> list[tuple[str, str]]:
    """Returns the stack (file, line) that made the operation of a compiler's name.

    When the graph has no such operation, it is that of the innermost loop that contains it.
    """
    operations = {operation.name: operation for operation in graph.get_operations()}
    parts = name.split("/")
    for end in range(len(parts), 0, -1):
        operation = operations.get("/".join(parts[:end]))
        if operation is not None:
            return [(frame.filename, str(frame.lineno)) for frame in operation.traceback]
    return []


def _our_line(frames: list[tuple[str, str]]) -> str:
    """Returns file:line of the innermost frame in the product, or "" when there is none."""
    root = _ROOT.lstrip("/")  # some files come without the first /
    ours = re.compile(rf"{re.escape(root)}/((?:trainer|input_pipeline)/.+)")
    places = [(ours.fullmatch(file.lstrip("/")), line) for file, line in frames]
    return next((f"{place[1]}:{line}" for place, line in reversed(places) if place), "")
