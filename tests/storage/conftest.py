"""What the tests of the stores share."""

import os
import tempfile
from pathlib import Path

import pytest


@pytest.fixture
def file(tmp_path):
    """A local file that is not in the store."""
    path = tmp_path / "file"
    path.write_bytes(b"from a file")
    return path


@pytest.fixture
def plain_user():
    """Makes this process one of a user without privileges, and returns a folder of that user."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        with tempfile.TemporaryDirectory() as folder:
            yield Path(folder)
            for place, folders, _ in os.walk(folder):
                for name in folders:
                    Path(place, name).chmod(0o700)
    finally:
        if root:
            os.seteuid(0)
