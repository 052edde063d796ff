"""What the tests share: a small config, its reviews, and several logical devices."""

import json
from pathlib import Path

import ml_collections
import pytest
import tensorflow as tf

from configs import default
from input_pipeline import sample_corpus

# Before anything runs on a device: the strategies' tests need up to four of them.
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 4
)


@pytest.fixture
def config() -> ml_collections.ConfigDict:
    """A whole config of a network that trains in a moment, and caches nothing."""
    return small_config()


def small_config() -> ml_collections.ConfigDict:
    config = default.get_config()
    config.data.cache_dir = ""
    config.data.vocabulary_size = 200
    config.data.max_tokens = 48
    config.model.embedding_size = 8
    config.model.layer_sizes = (8, 4)
    config.train.batch_size = 16
    config.train.epochs = 2
    config.optimizer.learning_rate = 5e-3
    config.optimizer.schedule = "cosine"
    return config


@pytest.fixture(scope="session")
def reviews(tmp_path_factory) -> Path:
    """A folder of 700 training and 60 test reviews, for `files:`."""
    folder = tmp_path_factory.mktemp("reviews")
    for split, count in (("train", 700), ("test", 60)):
        rows = sample_corpus.reviews(split)[:count]
        lines = [json.dumps({"text": text, "label": label}) for text, label in rows]
        (folder / f"{split}.jsonl").write_text("\n".join(lines) + "\n")
    return folder
