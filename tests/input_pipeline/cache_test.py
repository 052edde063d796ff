"""Run with `python -m pytest tests/input_pipeline/cache_test.py`."""

import contextlib
import os
import resource
import shutil
import signal
import tempfile
from pathlib import Path

import numpy as np
import pytest

from input_pipeline.cache import cached

TOKENS = np.arange(7, dtype=np.int32).reshape(7, 1)
LENGTHS = np.array([3, 4], np.int64)


class Maker:
    """Arrays that take long to make; counts how often they are made."""

    def __init__(self, folder, key=(1, "a")):
        self.folder, self.key, self.made, self.asked = str(folder), key, 0, 0

    def get(self):
        """Checks that the arrays are right, from wherever they came."""

        def key():
            self.asked += 1
            return self.key

        arrays = cached(self.folder, "train", key, ["tokens", "lengths"], self.make)
        for array, expected in zip(arrays, (TOKENS, LENGTHS), strict=True):
            assert array.dtype == expected.dtype
            np.testing.assert_array_equal(array, expected)

    def make(self):
        self.made += 1
        return [TOKENS, LENGTHS]


@pytest.fixture
def maker(tmp_path):
    return Maker(tmp_path / "cache")


@pytest.fixture
def path(maker):
    """The file that a first call leaves."""
    maker.get()
    (path,) = Path(maker.folder).iterdir()
    maker.made = 0
    return path


@pytest.fixture
def shared(tmp_path):
    """A folder that all users may write to, in which they can't remove each other's files."""
    if os.geteuid() != 0:
        pytest.skip("only root can be several users")
    for _ in range(2):  # imports what other users may not be allowed to read
        Maker(tmp_path).get()
    folder = Path(tempfile.mkdtemp())  # those of pytest are for their owner only
    folder.chmod(0o1777)
    yield folder
    shutil.rmtree(folder)


@contextlib.contextmanager
def user(number):
    os.seteuid(number)
    try:
        yield
    finally:
        os.seteuid(0)


def warnings(caplog):
    return [record.getMessage() for record in caplog.records]


def test_second_call_is_from_the_file(maker, caplog):
    maker.get()
    maker.get()
    assert (maker.made, warnings(caplog)) == (1, [])


def test_other_key_is_another_file(maker):
    maker.get()
    maker.key = (2, "a")
    maker.get()
    assert (maker.made, len(list(Path(maker.folder).iterdir()))) == (2, 2)


def test_no_folder_caches_nothing_and_needs_no_key(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    maker = Maker("")
    maker.get()
    maker.get()
    assert (maker.made, maker.asked, list(tmp_path.iterdir())) == (2, 0, [])


def test_source_that_changes_while_it_is_read_is_not_cached(maker, caplog):
    def make():
        maker.key = (2, "a")
        return [TOKENS, LENGTHS]

    maker.make = make
    maker.get()
    assert not Path(maker.folder).exists()
    assert warnings(caplog) == [
        "config.data.source: changed while it was read; it is not cached",
    ]


def damages(whole):
    """Yields cut files, files with a changed byte, and some that never were one."""
    yield from (whole[:size] for size in range(0, len(whole), 41))
    for place in range(0, len(whole), 9):
        yield whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :]
    yield from (b"no archive", b"PK\x03\x04", whole + b"\0", bytes(10_000))


def test_damaged_file_is_made_again(maker, path, caplog):
    whole = path.read_bytes()
    for count, damaged in enumerate(damages(whole), 1):
        path.write_bytes(damaged)
        maker.get()
        maker.get()
        assert maker.made == count
    assert warnings(caplog) == [f"{path}: damaged, making it again"] * count


def test_file_of_another_key_is_damaged(maker, path):
    other = Maker(maker.folder, key="other")
    other.make = lambda: [TOKENS * 2, LENGTHS]
    with contextlib.suppress(AssertionError):
        other.get()
    (theirs,) = set(Path(maker.folder).iterdir()) - {path}
    shutil.copy(theirs, path)
    maker.get()
    assert maker.made == 1


def in_the_way(path):
    shutil.rmtree(path.parent)
    path.parent.touch()


def a_folder(path):
    path.unlink()
    path.mkdir()


def a_fifo(path):
    path.unlink()
    os.mkfifo(path)


def circle(path):
    path.unlink()
    path.symlink_to(path)


@pytest.mark.parametrize("obstacle", [in_the_way, a_folder, a_fifo, circle])
def test_obstacle_costs_a_warning_and_the_work(maker, path, caplog, obstacle):
    obstacle(path)
    maker.get()
    maker.get()
    (warning,) = warnings(caplog)  # not one a file
    assert warning.startswith(f"config.data.cache_dir: {maker.folder}: ")
    assert warning.endswith(
        "continuing without the cache (give a folder of your own, or '' for none)"
    )
    assert maker.made == 2


def test_unknown_home_folder_costs_a_warning_and_the_work(tmp_path, monkeypatch, caplog):
    monkeypatch.chdir(tmp_path)
    maker = Maker("~nobody-of-that-name/cache")
    maker.get()
    (warning,) = warnings(caplog)
    assert "config.data.cache_dir: ~nobody-of-that-name/cache: there is no home folder" in warning
    assert (maker.made, list(tmp_path.iterdir())) == (1, [])


def test_full_disk_costs_a_warning_and_the_work(maker, caplog):
    # A limit to the size of files stands for a disk that is full in the middle of one.
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300, hard))
    try:
        maker.get()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)
    (warning,) = warnings(caplog)
    assert "File too large; continuing without the cache" in warning
    assert list(Path(maker.folder).iterdir()) == []


def test_folder_without_permission_costs_a_warning_and_the_work(shared, caplog):
    (shared / "cache").mkdir()
    maker = Maker(shared / "cache")
    with user(12345):
        maker.get()
        maker.get()
    assert maker.made == 2
    (warning,) = warnings(caplog)
    assert "Permission denied; continuing without the cache" in warning


@pytest.mark.parametrize(
    ("mode", "reason"),
    [(0o600, "Permission denied"), (0o666, "holds what is not a file of user 12346")],
)
def test_file_of_another_user_is_neither_taken_nor_replaced(shared, caplog, mode, reason):
    maker = Maker(shared)
    (shared / ".writing-left").touch()  # by a process that was killed
    with user(12345):
        maker.get()
    (path,) = shared.glob("*.npz")
    path.chmod(mode)
    with user(12346):
        maker.get()
    (warning,) = warnings(caplog)
    assert reason in warning
    with user(12345):
        maker.get()
    assert maker.made == 2


def test_file_of_root_is_taken(shared, caplog):
    maker = Maker(shared)
    maker.get()
    next(shared.iterdir()).chmod(0o644)
    with user(12345):
        maker.get()
    assert (maker.made, warnings(caplog)) == (1, [])
