"""What the tests of the stores share."""

import pytest


@pytest.fixture
def file(tmp_path):
    """A local file that is not in the store."""
    path = tmp_path / "file"
    path.write_bytes(b"from a file")
    return path
