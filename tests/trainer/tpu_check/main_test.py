"""The command `python -m trainer.tpu_check`, run as a process.

Tests that need the TPU's compiler are skipped without it: pip install -e '.[tpu-check]'
"""

import importlib.util
import subprocess
import sys

import pytest


def run(*arguments: str) -> subprocess.CompletedProcess:
    """Runs Python with these arguments."""
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, check=False
    )  # fmt: skip


def test_missing_compiler_is_reported_in_one_line():
    start = (
        "import runpy, sys; sys.modules['libtpu'] = None; "
        "sys.argv = ['tpu_check', '--config=configs/sample.py']; "
        "runpy.run_module('trainer.tpu_check', run_name='__main__')"
    )
    done = run("-c", start)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ")
    assert "pip install 'longhaul[tpu-check]'" in line


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        ((), "--config: missing"),
        (("--config=configs/sample.py", "--config.train.batch_sise=3"), "train.batch_size?"),
        (("--config=configs/sample.py", "--config.train.batch_size=0"), "config.train.batch_size"),
    ],
)
def test_wrong_flag_is_reported_in_one_line(flags, named):
    done = run("-m", "trainer.tpu_check", *flags)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ") and named in line


needs_compiler = pytest.mark.skipif(
    not all(map(importlib.util.find_spec, ("jax", "libtpu"))),
    reason="needs the TPU's compiler: pip install -e '.[tpu-check]'",
)


@needs_compiler
def test_small_step_compiles_and_is_reported(reviews):
    done = run(
        *("-m", "trainer.tpu_check", "--config=configs/sample.py", "--topology=v5e:2x2"),
        *(f"--config.data.source=files:{reviews}", "--config.data.cache_dir="),
        *("--config.data.max_tokens=16", "--config.data.width_step=16"),
        *("--config.model.layer_sizes=8,", "--config.train.batch_size=32"),
    )
    assert done.returncode == 0, done.stderr
    assert "4 cores of TPU v5 lite, 8 reviews per core and step" in done.stdout
    assert "not measured" in done.stdout
    (row,) = [line for line in done.stdout.splitlines() if line.startswith("    16 ")]
    assert "does not compile" not in row
    assert "Per token of an epoch" in done.stdout


@needs_compiler
@pytest.mark.parametrize(
    ("flag", "named"),
    [
        ("--topology=v5e:9x9", "--topology: got 'v5e:9x9'"),
        ("--config.train.batch_size=6", "accepted is a multiple of 4"),
    ],
)
def test_config_that_does_not_fit_the_topology_is_reported_in_one_line(flag, named):
    done = run("-m", "trainer.tpu_check", "--config=configs/sample.py", flag)
    assert done.returncode == 1
    assert named in done.stderr.splitlines()[-1]
