"""The state of a training: everything that a step reads and writes, and a checkpoint holds.

with strategy.scope():
    state = create(objective, config, vocabulary_size)
state.evaluated             # the network to evaluate: the averaged weights when there are any

spare = create(objective, config, vocabulary_size)
state.copy_to(spare)        # to save from while training goes on
"""

import dataclasses
from typing import Any

import ml_collections
import tensorflow as tf

from trainer.learning.objectives.objective import Objective
from trainer.learning.optimizers import Adam
from trainer.model.network import Encoder

_FIRST_LOSS_SCALE = 2.0**15


@dataclasses.dataclass(frozen=True)
class TrainState:
    """The variables of a run, made in the strategy's scope.

    The names of the fields are those of the variables in checkpoints.
    """

    model: Encoder
    average: Encoder | None  # moving average of the model's weights
    optimizer: Adam
    step: tf.Variable  # <int64>[], steps done
    loss_scale: tf.Variable  # <float32>[], for float16
    steps_since_overflow: tf.Variable  # <int64>[], at this loss scale

    @property
    def evaluated(self) -> Encoder:
        """The network whose weights count at evaluation."""
        return self.average or self.model

    @property
    def variables(self) -> list[tf.Variable]:
        """All variables that a step may change."""
        networks = [network for network in (self.model, self.average) if network]
        return [
            *(variable for network in networks for variable in network.weights),
            *(variable for network in networks for variable in network.constants),
            *self.optimizer.variables,
            *(self.step, self.loss_scale, self.steps_since_overflow),
        ]

    def copy_to(self, spare: "TrainState") -> None:
        """Makes `spare`, of the same config, equal to this state."""
        for source, target in zip(self.variables, spare.variables, strict=True):
            target.assign(source.read_value())

    def read(self, path: str) -> None:
        """Reads all variables from a checkpoint's files; AssertionError when they are others."""
        _read(self.checkpoint(), path).assert_consumed()

    def checkpoint(self) -> tf.train.Checkpoint:
        """Returns the state as TensorFlow saves it."""
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return tf.train.Checkpoint(**{k: v for k, v in fields.items() if v is not None})


def create(
    objective: Objective, config: ml_collections.ConfigDict, vocabulary_size: int
) -> TrainState:
    """Creates a fresh state; `config` is a whole config."""
    trained = objective.network(config, vocabulary_size)
    averages = config.train.average_decay > 0
    return TrainState(
        model=trained,
        average=objective.network(config, vocabulary_size) if averages else None,
        optimizer=Adam(trained.weights, config.optimizer),
        step=tf.Variable(0, dtype=tf.int64, trainable=False),
        loss_scale=tf.Variable(
            _FIRST_LOSS_SCALE if config.model.precision == "float16" else 1.0, trainable=False
        ),
        steps_since_overflow=tf.Variable(0, dtype=tf.int64, trainable=False),
    )


def load_weights(path: str, config: ml_collections.ConfigDict, network: Encoder) -> None:
    """Reads the weights that `config`'s run evaluates from a checkpoint's files into `network`."""
    _read_evaluated(path, config, network)


def load_encoder(path: str, config: ml_collections.ConfigDict, network: Encoder) -> None:
    """Reads as `load_weights` does, but embedding and LSTM layers only: those of any network."""
    layers = {name: getattr(network, name) for name in ("embedding", "forward", "backward")}
    _read_evaluated(path, config, tf.train.Checkpoint(**layers))


def _read_evaluated(
    path: str, config: ml_collections.ConfigDict, variables: tf.Module | tf.train.Checkpoint
) -> None:
    part = "average" if config.train.average_decay else "model"
    status = _read(tf.train.Checkpoint(**{part: variables}), path)
    status.expect_partial().assert_existing_objects_matched()


def _read(checkpoint: tf.train.Checkpoint, path: str) -> Any:
    """Reads files of this machine, wherever the variables are: a TPU may be on other machines."""
    here = tf.train.CheckpointOptions(experimental_io_device=tf.constant("").device)
    return checkpoint.read(path, here)
