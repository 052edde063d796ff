"""The start-up script that a request carries; tests/deploy/payload/ runs it."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.targets.tpu_vm.options import Options
from deploy.targets.tpu_vm.startup_script import requirements, startup_script
from deploy.targets.tpu_vm.wheels import fill_command
from tests.deploy.examples import REPOSITORY
from tests.deploy.targets.tpu_vm.jobs import (
    HOSTILE,
    RESERVED,
    SPOT,
    make_options,
    make_tpu_job,
)

SHELLCHECK = Path(sys.executable).with_name("shellcheck")


@pytest.mark.parametrize("extra", [(), (HOSTILE, "--config.data.dir=$HOME", "--config.seed=1")])
@pytest.mark.parametrize("flags", [SPOT, RESERVED])
def test_startup_script_passes_shellcheck(extra, flags, tmp_path):
    path = tmp_path / "startup.sh"
    path.write_text(startup_script(make_tpu_job(extra=extra), Options(**flags)))
    done = subprocess.run([SHELLCHECK, path], capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == ("", 0)


def test_hostile_argument_arrives_intact_and_executes_nothing(tmp_path):
    job = make_tpu_job(extra=(HOSTILE,))
    script = startup_script(job, make_options())
    header = script[: script.index("set -euo pipefail")]
    done = subprocess.run(
        ["bash", "-s"], input=header + '\nprintf "%s\\0" "${ARGUMENTS[@]}" "$BOOTSTRAP"',
        cwd=tmp_path, capture_output=True, text=True, check=True,
    )  # fmt: skip
    arguments = [*job.arguments, "--config.strategy.accelerators=4"]
    assert done.stdout.split("\0")[:-1] == [*arguments, job.command[2]]
    assert list(tmp_path.iterdir()) == []


def test_requirements_are_pinned_and_have_tensorflow_for_tpus():
    script = startup_script(make_tpu_job(), make_options())
    (line,) = (li for li in script.splitlines() if li.startswith("readonly REQUIREMENTS=("))
    items = shlex.split(line.partition("(")[2].rpartition(")")[0])
    assert items == requirements()
    assert all(re.fullmatch(r"[\w-]+==[\w.]+", item) for item in items)
    assert [item for item in items if item.startswith("tensorflow-tpu==")]
    assert not [item for item in items if item.startswith("tensorflow==")]


def test_command_that_fills_the_folder_of_wheels_has_every_package():
    words = shlex.split(fill_command("gs://bucket/wheels"))
    assert words[-1] == "gs://bucket/wheels/"
    (file,) = (w.partition("=")[2] for w in words if w.startswith("--requirement="))
    listed = [li for li in (REPOSITORY / file).read_text().splitlines() if li[0] != "#"]
    assert listed == requirements()
    assert {"pip", "--only-binary=:all:", "--python-version=3.10"} <= set(words)
    assert [w for w in words if w.startswith("promise==")]  # has to be built
