"""The check of a container image, run in the Python of these tests."""

import re
import subprocess
import sys
from importlib import metadata

import pytest

from tests.deploy.examples import REPOSITORY

CHECK = REPOSITORY / "deploy" / "payload" / "image_check.py"
# The check is read from standard input, as in a container. These tests may run as root.
RUN = "import os, sys; os.getuid = lambda: {}; exec(compile(sys.stdin.read(), 'check', 'exec'))"
TENSORFLOW = f"tensorflow=={metadata.version('tensorflow')}"


def check(tmp_path, *wanted, user=1000):
    """Runs the check outside the tree; returns its exit code and the last line it printed."""
    done = subprocess.run(
        [sys.executable, "-c", RUN.format(user), *wanted], input=CHECK.read_text(encoding="utf-8"),
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.returncode, (done.stdout or done.stderr).splitlines()[-1]


def test_complete_image_passes(tmp_path):
    code, line = check(tmp_path, TENSORFLOW, str(CHECK))
    assert (code, line.endswith(f"{TENSORFLOW} {CHECK} user 1000")) == (0, True), line


@pytest.mark.parametrize(
    ("wanted", "line"),
    [
        ("tensorflow==2.0.0", "the image has tensorflow [0-9.]+, wanted is 2.0.0"),
        ("no-such-package==1.0", "the image has no package no-such-package"),
        ("/no/such/libtpu.so", "the image has no file /no/such/libtpu.so"),
    ],
)
def test_image_without_something_fails_in_one_line(wanted, line, tmp_path):
    code, found = check(tmp_path, wanted)
    assert code == 1
    assert re.fullmatch(f"error: {line}", found)


def test_image_without_the_packages_of_an_extra_fails(tmp_path):
    folder = tmp_path / "cuda_user-1.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: cuda-user\nVersion: 1.0\nProvides-Extra: and-cuda\n"
        "Requires-Dist: no-such-a (<2,>=1)\n"
        'Requires-Dist: no-such-cuda<2,>=1; extra == "and-cuda"\n'
    )
    code, line = check(tmp_path, "cuda-user[and-cuda]==1.0")
    assert (code, line) == (1, "error: the image has no package no-such-cuda")


def test_image_whose_user_is_root_fails(tmp_path):
    code, line = check(tmp_path, TENSORFLOW, user=0)
    assert code == 1
    assert line.startswith("error: the image's user is root")
