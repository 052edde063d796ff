"""Shared fixtures: a small config, reviews to train on, stores and a bucket.

It also splits the CPU into four logical devices, and sets the threads that the trainer sets.
"""

import json
import resource
from pathlib import Path

import ml_collections
import pytest
import tensorflow as tf

from configs import default
from input_pipeline.sources import sample_corpus
from storage.store import open_store
from tests.fakes.gcs_server import GcsServer
from trainer.machines.threads import set_threads

# The tests of strategies need up to four devices. This has to come before any use of a device.
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 4
)
# Before the first test too, or else the numbers of threads would depend on the order of the tests.
set_threads(default.get_config().strategy, on_cpus=True)


@pytest.fixture(scope="session")
def cloud():
    """Starts a Cloud Storage server on this machine with one bucket, `bucket`.

    This process and its child processes use it.
    """
    with GcsServer(buckets=("bucket",)) as server, pytest.MonkeyPatch.context() as patch:
        patch.setenv("STORAGE_EMULATOR_HOST", server.url)
        yield server


# Kind of store -> a function that returns the URL of an unused store, given the test's folder.
STORES = {
    "local": lambda folder: str(folder / "run"),
    "gs": lambda folder: f"gs://bucket/{folder.name}/run",
}


@pytest.fixture(params=STORES)
def store(request, tmp_path, cloud):
    """Opens an empty store, once in a local folder and once in a bucket."""
    return open_store(STORES[request.param](tmp_path))


@pytest.fixture
def config() -> ml_collections.ConfigDict:
    """Returns a config for short tests: see `small_config`."""
    return small_config()


def small_config() -> ml_collections.ConfigDict:
    """Returns a complete config of a network that trains within seconds, without a cache."""
    config = default.get_config()
    config.data.cache_dir = ""
    config.evaluation.report = False
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
    """Returns a folder with 700 training and 60 test reviews, for the source `files:`."""
    folder = tmp_path_factory.mktemp("reviews")
    for split, count in (("train", 700), ("test", 60)):
        rows = sample_corpus.reviews(split)[:count]
        lines = [json.dumps({"text": text, "label": label}) for text, label in rows]
        (folder / f"{split}.jsonl").write_text("\n".join(lines) + "\n")
    return folder


@pytest.fixture
def limit_file_size():
    """Returns a function that makes this process's writes fail after that many bytes of a file."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
