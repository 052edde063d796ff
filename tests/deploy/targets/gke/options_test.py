"""The flags of --target=gke."""

import pytest

from deploy.targets.gke.options import TEXTS, Options
from tests.deploy.examples import refusal


@pytest.mark.parametrize("flag", sorted(TEXTS))
@pytest.mark.parametrize(
    "value", ["a b", "a;b", "$(touch X)", "a\nb", "a'", '"', "-x", "ünïcode", "x" * 5000, "a\0"]
)
def test_a_bad_text_is_refused_in_one_line(flag, value):
    assert f"--{flag}: got " in refusal(Options, **{flag: value})


@pytest.mark.parametrize(
    ("flag", "value"),
    [
        ("accelerators", 0),
        ("accelerators", 17),
        ("workers", 0),
        ("workers", 257),
        ("max_restarts", -1),
        ("max_run_hours", 0),
        ("tpu_topology", "4x2"),
        ("tpu_accelerator", "tpu-v2"),
        ("cpu", "0"),
        ("memory", "16GB"),
        ("image", "-"),
        ("namespace", ""),
    ],
)
def test_a_value_out_of_range_is_refused_in_one_line(flag, value):
    line = refusal(Options, **{flag: value})
    assert f"--{flag}: got " in line and "accepted is" in line


@pytest.mark.parametrize(
    ("flags", "line"),
    [
        ({"tpu_accelerator": "tpu-v6e-slice"}, "--tpu_topology: missing"),
        ({"tpu_topology": "2x2", "accelerators": 4}, "--accelerators: got 4"),
        (
            {"tpu_topology": "2x2", "accelerator": "nvidia-tesla-t4"},
            "--accelerator: got 'nvidia-te",
        ),
        ({"accelerator": "", "accelerators": 4}, "--accelerators: got 4"),
    ],
)
def test_flags_that_contradict_each_other_are_refused(flags, line):
    assert refusal(Options, **flags).startswith(line)


def test_options_fill_in_what_a_tpu_topology_implies():
    options = Options(tpu_topology="2x2")
    assert (options.accelerator, options.accelerators) == ("", 0)
    assert options.tpu_accelerator == "tpu-v5-lite-podslice"


def test_number_of_pods_of_a_tpu_slice_can_not_be_chosen():
    assert "--workers: got 2" in refusal(Options, tpu_topology="4x4", workers=2)
