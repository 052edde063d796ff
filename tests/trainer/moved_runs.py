"""Resumes a run on other devices, for the tests: `resumed_on_replicas`."""

import shutil
import subprocess

from tests.trainer.main_test import REPOSITORY, command
from tests.trainer.modes.runs import flags_of, numbers, tensors


def resumed_on_replicas(replicas, config, ended, workdir):
    """Trains the second half of a run again, in a copy of its workdir, on so many replicas.

    Returns whether lines of metrics and weights are those of before. It trains in a process of its
    own: TensorFlow's groups of replicas mix when a process has had other ones.
    """
    shutil.copytree(ended, workdir)
    for step in (80, 82):
        shutil.rmtree(workdir / "checkpoints" / str(step))
    config = config.copy_and_resolve_references()
    config.strategy.virtual_devices = replicas
    flags = (*flags_of(config), f"--workdir={workdir}")
    done = subprocess.run(
        command(*flags), cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "at step 60" in done.stdout
    return numbers(workdir) == numbers(ended) and tensors(workdir) == tensors(ended)
