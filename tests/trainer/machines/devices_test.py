"""The line that names the devices of a run, and the refusal of a machine that lacks some."""

import re

import pytest
import tensorflow as tf

from storage.errors import UserError
from tests.trainer.modes.runs import start
from trainer.machines import devices, strategy

CPU = r"this machine's CPU \(\d+ cores?\)"


@pytest.fixture
def gpus(monkeypatch):
    """Makes TensorFlow list two GPUs, which no test uses."""
    listed = [tf.config.PhysicalDevice(f"/physical_device:GPU:{i}", "GPU") for i in range(2)]
    list_devices = tf.config.list_physical_devices
    monkeypatch.setattr(
        tf.config,
        "list_physical_devices",
        lambda kind=None: listed if kind == "GPU" else list_devices(kind),
    )
    monkeypatch.setattr(
        tf.config.experimental, "get_device_details", lambda _: {"device_name": "NVIDIA L4"}
    )


@pytest.mark.parametrize(
    ("name", "virtual_devices", "replicas"),
    [
        ("auto", 0, r"1 replica \(default\)"),
        ("one_device", 0, r"1 replica \(one_device\)"),
        ("auto", 4, r"4 replicas \(mirrored\)"),
    ],
)
def test_replicas_on_a_cpu_are_named(config, name, virtual_devices, replicas):
    config.strategy.update(name=name, virtual_devices=virtual_devices)
    line = devices.describe(strategy.make_strategy(config))
    assert re.fullmatch(f"{replicas}: {CPU}", line)


def test_gpus_are_named_and_those_that_are_not_used(gpus):
    mirrored = devices.describe(tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]))
    assert mirrored == "2 replicas (mirrored): GPU:0 NVIDIA L4, GPU:1 NVIDIA L4"
    one = devices.describe(tf.distribute.get_strategy())
    assert one == "1 replica (default): GPU:0 NVIDIA L4; not used: GPU:1 NVIDIA L4"


def test_first_line_of_a_run_names_the_devices(config, reviews, tmp_path, capsys):
    config.data.source = f"files:{reviews / 'none'}"  # refused once it is read
    with pytest.raises(UserError, match=r"config\.data\.source"):
        start(config, tmp_path)
    assert re.fullmatch(rf"Devices: 1 replica \(default\): {CPU}\n", capsys.readouterr().out)


@pytest.mark.parametrize("name", ["auto", "default", "mirrored"])
def test_machine_without_the_gpus_that_were_asked_for_is_refused(config, name, tmp_path, capsys):
    config.strategy.update(name=name, accelerators=1)
    expected = (
        r"^config\.strategy\.accelerators: got 0 GPUs, expected 1; check the machine's driver"
    )
    with pytest.raises(UserError, match=expected) as error:
        start(config, tmp_path)
    assert str(error.value).isprintable()
    assert (capsys.readouterr().out, list(tmp_path.iterdir())) == ("", [])


def test_as_many_gpus_or_more_than_asked_for_are_accepted():
    devices.require_accelerators(2, 2, "GPUs")
    devices.require_accelerators(1, 2, "GPUs")
    with pytest.raises(UserError, match="got 4 TPU cores, expected 8; check the TPU's type"):
        devices.require_accelerators(8, 4, "TPU cores")
