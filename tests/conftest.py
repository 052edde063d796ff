"""What the tests share: a small config, its reviews, a bucket, and several logical devices."""

import json
from pathlib import Path

import ml_collections
import pytest
import tensorflow as tf

from configs import default
from input_pipeline.sources import sample_corpus
from storage.store import open_store
from tests.fakes.gcs_server import GcsServer

# Before anything runs on a device: the strategies' tests need up to four of them.
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 4
)


@pytest.fixture(scope="session")
def cloud():
    """A Cloud Storage on this machine with the bucket `bucket`, for this process and its own."""
    with GcsServer(buckets=("bucket",)) as server, pytest.MonkeyPatch.context() as patch:
        patch.setenv("STORAGE_EMULATOR_HOST", server.url)
        yield server


# Name -> the URL of a store nobody has used yet, given a folder of the test's own.
STORES = {
    "local": lambda folder: str(folder / "run"),
    "gs": lambda folder: f"gs://bucket/{folder.name}/run",
}


@pytest.fixture(params=STORES)
def store(request, tmp_path, cloud):
    return open_store(STORES[request.param](tmp_path))


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
