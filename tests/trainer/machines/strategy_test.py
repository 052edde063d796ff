"""The choice of a strategy, and the strategies that a CPU can run."""

import pytest
import tensorflow as tf

from storage.errors import UserError
from trainer.machines import strategy, threads


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
def test_auto_depends_on_devices_and_workers_and_other_names_stay(
    name, gpus, virtual_devices, workers, chosen
):
    assert strategy.strategy_name(name, gpus, virtual_devices, workers) == chosen


@pytest.mark.parametrize(
    ("name", "kind"),
    [("one_device", tf.distribute.OneDeviceStrategy), ("default", tf.distribute.Strategy)],
)
def test_named_strategy_is_made(config, name, kind):
    config.strategy.name = name
    made = strategy.make_strategy(config)
    assert isinstance(made, kind)
    assert made.num_replicas_in_sync == 1


def test_virtual_devices_become_replicas(config):
    config.strategy.virtual_devices = 4  # as tests/conftest.py has split the CPU
    made = strategy.make_strategy(config)
    assert isinstance(made, tf.distribute.MirroredStrategy)
    assert made.num_replicas_in_sync == 4


def test_virtual_devices_after_the_start_of_tensorflow_are_refused(config):
    tf.constant(0)  # starts TensorFlow
    config.strategy.virtual_devices = 3
    with pytest.raises(UserError, match=r"virtual_devices: got 3"):
        strategy.make_strategy(config)


@pytest.mark.parametrize(
    ("section", "field", "number"),
    [("train", "batch_size", 18), ("train", "slices", 2), ("evaluation", "batch_size", 10)],
)
def test_numbers_that_the_replicas_do_not_divide_are_refused(config, section, field, number):
    config.strategy.virtual_devices = 4
    config[section][field] = number
    with pytest.raises(UserError, match=rf"{section}.{field}: got {number}.*multiple of 4$"):
        strategy.make_strategy(config)


@pytest.mark.parametrize(
    ("name", "gpus", "on_cpus"), [("auto", 0, True), ("auto", 2, False), ("tpu", 0, False)]
)
def test_threads_are_chosen_on_cpus(config, monkeypatch, name, gpus, on_cpus):
    class Reached(Exception):
        pass

    def set_threads(fields, on_cpus):
        raise Reached(fields, on_cpus)

    monkeypatch.setattr(threads, "set_threads", set_threads)
    monkeypatch.setattr(strategy, "device_count", lambda kind: {"GPU": gpus}.get(kind, 0))
    config.strategy.name = name
    with pytest.raises(Reached) as reached:
        strategy.make_strategy(config)
    assert reached.value.args == (config.strategy, on_cpus)


def test_threads_after_the_start_of_tensorflow_are_refused(config):
    tf.constant(0)  # starts TensorFlow
    config.strategy.inter_op_threads = 77
    with pytest.raises(UserError, match=r"inter_op_threads: got 77"):
        strategy.make_strategy(config)


def test_missing_tpu_is_refused_in_one_line(config):
    config.strategy.name = "tpu"
    with pytest.raises(UserError, match=r"config\.strategy\.tpu: got 'local', but no TPU") as error:
        strategy.make_strategy(config)
    assert "\n" not in str(error.value)


def test_auto_prefers_a_tpu():
    assert strategy.strategy_name("auto", 0, 0, 1, tpus=8) == "tpu"
