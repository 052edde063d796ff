"""The contestants of `benchmarks.peers` that train with Keras's `fit` and `padded_batch`.

trainer = make_trainer(task, mask=True)
trainer.train(plan)
"""

import warnings

import keras
import numpy as np
import tensorflow as tf

from benchmarks.peers.reading import to_examples
from benchmarks.peers.task import Task, Trainer
from input_pipeline.batch_plan import NO_REVIEW, BatchPlan
from input_pipeline.examples import Examples

# The largest state needs none, see below.
warnings.filterwarnings("ignore", "Layer 'global_max_pooling1d'")


def make_trainer(task: Task, mask: bool) -> Trainer:
    """Returns the contestant; without `mask` the network pools over the padding as well."""
    return _KerasFit(task, mask)


class _KerasFit:
    """See `Trainer`."""

    def __init__(self, task: Task, mask: bool):
        self.task = task
        self._reviews, self._validation = to_examples(task.reviews), to_examples(task.validation)
        keras.utils.set_random_seed(task.config.seed)
        self._model = _model(task, mask)

    def train(self, plan: BatchPlan) -> None:
        ids = plan.ids.ravel()
        batch = self.task.config.train.batch_size
        dataset = _dataset(self._reviews, ids[ids != NO_REVIEW], batch)
        self._model.fit(dataset, verbose=0, shuffle=False)  # the plan has shuffled

    def accuracy(self) -> float:
        reviews, batch = self._validation, self.task.config.evaluation.batch_size
        dataset = _dataset(reviews, np.arange(len(reviews)), batch)
        return self._model.evaluate(dataset, verbose=0, return_dict=True)["binary_accuracy"]


def _model(task: Task, mask: bool) -> keras.Model:
    """Returns the compiled network; a review's tokens share one dropout mask, as in longhaul."""
    config, optimizer = task.config.model, task.config.optimizer
    inputs = keras.Input([None], dtype="int32")
    states = keras.layers.Embedding(task.vocabulary_size, config.embedding_size, mask_zero=mask)(
        inputs
    )
    states = keras.layers.SpatialDropout1D(config.dropout)(states)
    for units in config.layer_sizes:
        states = keras.layers.LSTM(units, return_sequences=True)(states)
        states = keras.layers.SpatialDropout1D(config.dropout)(states)
    # With a mask the LSTM repeats its last state over the padding, which changes neither the last
    # state nor the largest.
    pooled = [
        states[:, -1],
        keras.layers.GlobalMaxPooling1D()(states),
        keras.layers.GlobalAveragePooling1D()(states),
    ]
    logits = keras.layers.Dense(1)(keras.layers.Concatenate()(pooled))
    model = keras.Model(inputs, logits)
    model.compile(
        optimizer=keras.optimizers.Adam(
            keras.optimizers.schedules.CosineDecay(optimizer.learning_rate, task.total_steps),
            optimizer.beta1,
            optimizer.beta2,
            optimizer.epsilon,
            global_clipnorm=optimizer.clip_norm,
        ),
        loss=keras.losses.BinaryCrossentropy(from_logits=True),
        metrics=[keras.metrics.BinaryAccuracy(threshold=0.0)],
    )
    return model


def _dataset(reviews: Examples, ids: np.ndarray, batch: int) -> tf.data.Dataset:
    """Returns padded batches of the reviews `ids` <int>[n], in that order."""
    tokens, labels = reviews.tokens, tf.constant(reviews.labels, tf.float32)
    dataset = tf.data.Dataset.from_tensor_slices(ids)
    dataset = dataset.map(lambda i: (tokens[i], labels[i]), num_parallel_calls=tf.data.AUTOTUNE)
    return dataset.padded_batch(batch).prefetch(tf.data.AUTOTUNE)
