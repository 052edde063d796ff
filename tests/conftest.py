"""What the tests share: a small config, and several logical devices in this process."""

import ml_collections
import pytest
import tensorflow as tf

from configs import default

# Before anything runs on a device: the strategies' tests need up to four of them.
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 4
)


@pytest.fixture
def config() -> ml_collections.ConfigDict:
    """A whole config of a network that trains in a moment, and caches nothing."""
    config = default.get_config()
    config.data.cache_dir = ""
    config.data.vocabulary_size = 200
    config.data.max_tokens = 48
    config.model.embedding_size = 8
    config.model.layer_sizes = (8, 4)
    config.train.batch_size = 16
    config.optimizer.learning_rate = 5e-3
    return config
