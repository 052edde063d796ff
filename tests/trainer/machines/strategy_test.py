import pytest
import tensorflow as tf

from storage.errors import UserError
from trainer.machines import strategy
from trainer.machines import strategy as strategies


@pytest.mark.parametrize(
    ("name", "gpus", "virtual_devices", "workers", "chosen"),
    [
        ("auto", 0, 0, 1, "default"),
        ("auto", 1, 0, 1, "default"),
        ("auto", 2, 0, 1, "mirrored"),
        ("auto", 0, 1, 1, "default"),
        ("auto", 0, 4, 1, "mirrored"),
        ("auto", 8, 0, 2, "multi_worker"),
        ("default", 8, 0, 1, "default"),
        ("one_device", 8, 0, 1, "one_device"),
        ("mirrored", 0, 0, 1, "mirrored"),
    ],
)
def test_choice_is_a_function_of_what_is_there(name, gpus, virtual_devices, workers, chosen):
    assert strategy.choose(name, gpus, virtual_devices, workers) == chosen


@pytest.mark.parametrize(
    ("name", "kind"),
    [("one_device", tf.distribute.OneDeviceStrategy), ("default", tf.distribute.Strategy)],
)
def test_creates_what_was_chosen(config, name, kind):
    config.strategy.name = name
    created = strategy.create(config.strategy)
    assert isinstance(created, kind)
    assert created.num_replicas_in_sync == 1


def test_virtual_devices_become_replicas(config):
    config.strategy.virtual_devices = 4  # as this process has them
    created = strategy.create(config.strategy)
    assert isinstance(created, tf.distribute.MirroredStrategy)
    assert created.num_replicas_in_sync == 4


def test_virtual_devices_come_too_late(config):
    tf.constant(0)  # TensorFlow runs
    config.strategy.virtual_devices = 3
    with pytest.raises(UserError, match=r"virtual_devices: got 3"):
        strategy.create(config.strategy)


@pytest.mark.parametrize(
    ("section", "size", "parts"), [("train", 18, 1), ("train", 20, 2), ("evaluation", 10, 1)]
)
def test_batch_that_the_replicas_do_not_divide_is_refused(config, section, size, parts):
    config.strategy.virtual_devices = 4
    config.train.micro_batches = parts
    config[section].batch_size = size
    with pytest.raises(
        UserError, match=rf"{section}.batch_size: got {size}.*multiple of {4 * parts}"
    ):
        strategies.make_strategy(config)


def test_machine_without_a_tpu_is_told_so_in_one_line(config):
    config.strategy.name = "tpu"
    with pytest.raises(UserError, match=r"config\.strategy\.tpu: got 'local', but no TPU") as error:
        strategy.create(config.strategy)
    assert "\n" not in str(error.value)


def test_tpu_comes_first():
    assert strategy.choose("auto", 0, 0, 1, tpus=8) == "tpu"
