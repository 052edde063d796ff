"""The reviews of `benchmarks.peers`, from a source to a file and on to TensorFlow.

store_reviews("tfds:imdb_reviews", path)
examples = to_examples(read_task(path, seed=0).validation)
"""

from pathlib import Path

import numpy as np
import tensorflow as tf

from benchmarks.peers.task import Reviews, standard_config
from input_pipeline.examples import Examples
from input_pipeline.load import load_training_data, make_encoding
from input_pipeline.training_set import InMemory
from storage.errors import UserError


def store_reviews(source: str, path: Path) -> None:
    """Tokenises the reviews of a source, as config.data.source names it, into a file.

    Raises UserError when the trainer would not read them into memory, or has more than two labels.
    """
    config = standard_config()
    config.data.source = source
    encoding = make_encoding(config.data)
    data = load_training_data(config.data, encoding)
    if not isinstance(data.train, InMemory) or len(encoding.labels) != 2:
        raise UserError(
            f"--data_source: got {source!r}, accepted are reviews of two labels in memory"
        )
    parts = {"train": data.train.examples, "validation": data.validation}
    arrays = {
        f"{part}_{field}": values
        for part, examples in parts.items()
        for field, values in _from_examples(examples)._asdict().items()
    }
    np.savez(path, vocabulary_size=len(encoding.vocabulary), **arrays)


def to_examples(reviews: Reviews) -> Examples:
    """Returns reviews as this project's trainer takes them."""
    tokens = tf.RaggedTensor.from_row_lengths(reviews.tokens, reviews.lengths)
    return Examples(tokens, reviews.labels)


def _from_examples(examples: Examples) -> Reviews:
    return Reviews(examples.tokens.flat_values.numpy(), examples.lengths, examples.labels)
