"""Whole dry runs of configs: those that a job could not run or resume are refused, others pass."""

import os
import subprocess
import sys

import pytest

from tests.deploy.examples import REPOSITORY

pytestmark = pytest.mark.usefixtures("environment")

VERTEX = ("--target=vertex", "--region=us-central1")
TPU = ("--target=tpu_vm", "--zone=us-west4-a")
SLICE = (*TPU, "--accelerator_type=v5litepod-16")
GKE = ("--target=gke",)
CONFIG = """\
import os, socket, time
from configs import imdb_gpu
{first}
def get_config():
    config = imdb_gpu.get_config()
    {line}
    return config
"""


def dry_run(tmp_path, flags, first="", line="config.seed = 3"):
    config = tmp_path / "mine.py"
    config.write_text(CONFIG.format(first=first, line=line))
    (tmp_path / "helper.py").write_text("SEED = 4\n")
    (tmp_path / "seed.txt").write_text("5")
    return subprocess.run(
        [sys.executable, "-m", "deploy.submit", "--dry_run", *flags, f"--config={config}",
         "--workdir=gs://bucket/runs/a"],
        cwd=REPOSITORY, env={**os.environ, "SEED": "5"}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip


PASS = {
    "one GPU": (VERTEX, "", "config.seed = 3"),
    "four GPUs of spot machines": (
        (*VERTEX, "--accelerators=4", "--provisioning=spot"),
        "",
        "pass",
    ),
    "a slice": (SLICE, "", "config.data.width_step = 64"),
    "three pods": (
        (*GKE, "--workers=3"),
        "",
        "config.train.batch_size = config.evaluation.batch_size = 96",
    ),
    "a helper beside the config": (VERTEX, "import helper", "config.seed = helper.SEED"),
}


@pytest.mark.parametrize("case", PASS)
def test_config_that_a_job_can_run_passes(case, tmp_path):
    flags, first, line = PASS[case]
    done = dry_run(tmp_path, flags, first, line)
    assert (done.returncode, done.stderr) == (0, "")
    assert "--config=configs/mine.py" in done.stdout


REFUSED = {
    "its seed is the time": (VERTEX, "config.seed = int(time.time())", "when evaluated again"),
    "its seed is the process": (VERTEX, "config.seed = os.getpid()", "config.seed: got "),
    "it reads an environment variable": (
        VERTEX, "config.seed = int(os.environ['SEED'])", "(mine.py:6: KeyError: 'SEED')"),
    "it has a default for an environment variable": (
        VERTEX, "config.seed = int(os.environ.get('SEED', 0))",
        "config.seed: got 5 here, but the job would get 0"),
    "it reads a file beside it": (
        VERTEX, "config.seed = int(open(os.path.dirname(__file__) + '/seed.txt').read())",
        "FileNotFoundError"),
    "it has too many widths for a TPU": (
        TPU, "config.data.width_step = 8", "config.data.width_step: got 8"),
    "its batches can't be divided by the chips": (
        SLICE, "config.train.batch_size = 72; config.data.width_step = 64",
        "config.train.batch_size: got 72 on 16 replicas"),
    "its strategy is for one machine": (
        (*VERTEX, "--workers=2"), "config.strategy.name = 'mirrored'",
        "config.strategy.name: got 'mirrored'"),
    "its data set is in a bucket": (
        VERTEX, "config.data.dir = 'gs://bucket/tfds'", "config.data.dir: got 'gs://bucket/tfds'"),
    "its reviews are on this machine": (
        GKE, "config.data.source = 'files:reviews'", "config.data.source: got 'files:reviews'"),
    "it expects more GPUs than are rented": (
        VERTEX, "config.strategy.accelerators = 8",
        "config.strategy.accelerators: got 8, but the machines have 1"),
    "it splits a CPU": (
        GKE, "config.strategy.virtual_devices = 2", "config.strategy.virtual_devices: got 2"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_config_that_a_job_can_not_run_is_refused_in_one_line(case, tmp_path):
    flags, line, reason = REFUSED[case]
    done = dry_run(tmp_path, flags, line=line)
    assert (done.returncode, done.stdout) == (1, "")
    assert len(done.stderr.splitlines()) == 1
    assert reason in done.stderr
