"""What `benchmarks.input` measures in a process of its own: epochs of batches without training.

with own_process("benchmarks.input.pipeline") as call:
    epochs = call("read_epochs", "tfds:imdb_reviews", "train[:1000]", cache, 3)
"""

import time

import tensorflow as tf

from configs import imdb_lstm
from input_pipeline.load import load_training_data, make_encoding
from input_pipeline.pipeline import Batch


def read_epochs(source: str, split: str, cache: str, epochs: int) -> list[dict[str, float]]:
    """Reads the batches of the first epochs of configs/imdb_lstm.py, made for one replica.

    `source` is config.data.source, `split` config.data.train_split, `cache` config.data.cache_dir.
    Returns for each epoch its seconds, those of its plan and of starting the pipeline included, and
    its batches, tokens and token slots.
    """
    config = imdb_lstm.get_config()
    config.data.update(source=source, train_split=split, cache_dir=cache)
    reviews = load_training_data(config.data, make_encoding(config.data)).train

    def add(totals: tf.Tensor, batch: Batch) -> tf.Tensor:
        tokens = tf.reduce_sum(batch.lengths * tf.cast(batch.weights, tf.int32))
        return totals + tf.stack([1, tokens, tf.size(batch.tokens)])

    found = []
    for number in range(epochs):
        begin = time.perf_counter()
        epoch = reviews.epoch(config.train.batch_size, config.data.width_step, config.seed, number)
        totals = epoch.batches(replicas=1).reduce(tf.zeros(3, tf.int32), add).numpy().tolist()
        seconds = time.perf_counter() - begin
        names = ("seconds", "batches", "tokens", "slots")
        found.append(dict(zip(names, (seconds, *totals), strict=True)))
    return found
