"""All that a training step reads and writes; what a checkpoint holds.

with strategy.scope():
    state = create(config, vocabulary_size)
state.evaluated      # the model to evaluate: the averaged weights when there are any

spare = create(config, vocabulary_size)
state.copy_to(spare)        # to save from while training goes on
"""

import dataclasses

import ml_collections
import tensorflow as tf

from trainer.learning.optimizers import Adam
from trainer.model.network import StackedLSTM

_FIRST_LOSS_SCALE = 2.0**15


@dataclasses.dataclass(frozen=True)
class TrainState:
    """Made in the strategy's scope."""

    model: StackedLSTM
    average: StackedLSTM | None  # moving average of the model's weights
    optimizer: Adam
    step: tf.Variable  # <int64>[], steps done
    loss_scale: tf.Variable  # <float32>[], for float16
    steps_since_overflow: tf.Variable  # <int64>[], at this loss scale

    @property
    def evaluated(self) -> StackedLSTM:
        """The model whose weights count at evaluation."""
        return self.average or self.model

    @property
    def variables(self) -> list[tf.Variable]:
        """All that changes from step to step."""
        models = [model for model in (self.model, self.average) if model]
        return [
            *(variable for model in models for variable in model.weights),
            *self.optimizer.variables,
            *(self.step, self.loss_scale, self.steps_since_overflow),
        ]

    def copy_to(self, spare: "TrainState") -> None:
        """Makes `spare`, of the same config, equal to this one."""
        for source, target in zip(self.variables, spare.variables, strict=True):
            target.assign(source.read_value())

    def read(self, path: str) -> None:
        """Takes the place of what there is; all that a checkpoint's files hold is read."""
        _read(self.checkpoint(), path).assert_consumed()

    def checkpoint(self) -> tf.train.Checkpoint:
        """The state as TensorFlow saves it."""
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return tf.train.Checkpoint(**{k: v for k, v in fields.items() if v is not None})


def create(config: ml_collections.ConfigDict, vocabulary_size: int) -> TrainState:
    """A fresh state; `config` is a whole config."""

    def model() -> StackedLSTM:
        return StackedLSTM(config.model, vocabulary_size, config.seed)

    trained = model()
    return TrainState(
        model=trained,
        average=model() if config.train.average_decay else None,
        optimizer=Adam(trained.weights, config.optimizer),
        step=tf.Variable(0, dtype=tf.int64, trainable=False),
        loss_scale=tf.Variable(
            _FIRST_LOSS_SCALE if config.model.precision == "float16" else 1.0, trainable=False
        ),
        steps_since_overflow=tf.Variable(0, dtype=tf.int64, trainable=False),
    )


def load_weights(path: str, config: ml_collections.ConfigDict, model: StackedLSTM) -> None:
    """Reads what `config`'s run evaluates from its checkpoint's files into `model`."""
    part = "average" if config.train.average_decay else "model"
    status = _read(tf.train.Checkpoint(**{part: model}), path)
    status.expect_partial().assert_existing_objects_matched()


def _read(checkpoint: tf.train.Checkpoint, path: str):
    """Reads files of this machine, wherever the variables are: a TPU may be on other machines."""
    here = tf.train.CheckpointOptions(experimental_io_device=tf.constant("").device)
    return checkpoint.read(path, here)
