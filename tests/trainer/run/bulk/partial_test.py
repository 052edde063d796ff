"""The folder of unfinished work: the same command goes on with it, another one is refused."""

import subprocess
import sys

import numpy as np
import pytest

from storage.errors import UserError
from tests.input_pipeline.sources.reading import complaint
from trainer.run.bulk.partial import Partial

COMMAND = {"input": "SHA-256 ab", "checkpoint": "step 82"}


@pytest.fixture
def output(tmp_path):
    return tmp_path / "out.csv"


def append(partial, first, count):
    numbers = np.arange(first, first + count)
    partial.append(numbers % 3, (numbers / 100).astype(np.float32))


def rows(partial):
    return [(number, round(probability * 100)) for number, probability in partial.predictions()]


def expected(count):
    return [(number % 3, number) for number in range(count)]


def write_rows(partial):
    return lambda path: path.write_text(repr(rows(partial)))


def begun(output, *counts):
    """Leaves unfinished work with blocks of these sizes; returns the path of its log."""
    with Partial(output) as partial:
        assert partial.begin(COMMAND)
        for count in counts:
            append(partial, partial.rows, count)
    return partial.folder / "predictions"


def test_output_appears_at_the_end_and_the_folder_goes(output):
    with Partial(output) as partial:
        partial.begin(COMMAND)
        append(partial, 0, 5)
        partial.write(write_rows(partial))
        assert not output.exists()
        partial.finish()
    assert output.read_text() == repr(expected(5))
    assert list(output.parent.iterdir()) == [output]


def test_work_goes_on_behind_every_size_that_a_kill_may_leave(output):
    log = begun(output, 5, 3, 4)
    whole = log.read_bytes()
    ends = {0: 0, 8 + 5 * 6: 5, 16 + 8 * 6: 8, 24 + 12 * 6: 12}
    assert max(ends) == len(whole)
    for size in range(len(whole) + 1):
        log.write_bytes(whole[:size])
        with Partial(output) as partial:
            partial.begin(COMMAND)
            assert partial.rows == ends[max(end for end in ends if end <= size)]
            append(partial, partial.rows, 20 - partial.rows)
            assert rows(partial) == expected(20)


@pytest.mark.parametrize("place", range(0, 62))
def test_damaged_block_and_those_behind_it_are_dropped(output, place):
    log = begun(output, 5, 3)
    content = bytearray(log.read_bytes())
    content[place] ^= 1
    log.write_bytes(content)
    with Partial(output) as partial:
        partial.begin(COMMAND)
        assert partial.rows == (0 if place < 38 else 5)


def test_zeros_behind_the_log_are_no_rows(output):
    log = begun(output, 5)
    log.write_bytes(log.read_bytes() + bytes(100))
    with Partial(output) as partial:
        partial.begin(COMMAND)
        assert partial.rows == 5


@pytest.mark.parametrize("name", COMMAND)
def test_work_of_another_command_is_refused_and_kept(output, name):
    log = begun(output, 5)
    before = log.read_bytes()
    with Partial(output) as partial:
        message = complaint(partial.begin, {**COMMAND, name: "other"})
    assert (
        f"unfinished work with another {name}: {COMMAND[name]}, this command has other" in message
    )
    assert "delete that folder to begin again" in message
    assert log.read_bytes() == before


def test_folder_with_something_else_is_refused_and_kept(output):
    folder = output.with_name("out.csv.partial")
    folder.mkdir()
    (folder / "mine.txt").write_text("x")
    with Partial(output) as partial:
        assert "holds no unfinished work" in complaint(partial.begin, COMMAND)
    assert (folder / "mine.txt").exists()


def test_refused_command_leaves_no_folder(output):
    with pytest.raises(UserError), Partial(output):
        raise UserError("--input: has a bad row")
    assert not list(output.parent.iterdir())


def test_output_that_exists_is_refused_and_kept(output):
    output.write_text("mine")
    assert "out.csv exists; give another --output" in complaint(Partial(output).__enter__)
    output.unlink()
    begun(output, 5)
    output.write_text("mine")
    with Partial(output) as partial:
        assert "move the file away to go on" in complaint(partial.begin, COMMAND)
    assert output.read_text() == "mine"


def test_output_that_appears_meanwhile_is_not_replaced(output):
    with Partial(output) as partial:
        partial.begin(COMMAND)
        output.write_text("mine")
        partial.write(write_rows(partial))
        assert "has appeared meanwhile" in complaint(partial.finish)
    assert output.read_text() == "mine"


@pytest.mark.parametrize("is_log_gone", [False, True])
def test_process_killed_after_the_output_appeared_has_finished(output, monkeypatch, is_log_gone):
    with Partial(output) as partial, monkeypatch.context() as patch:
        partial.begin(COMMAND)
        append(partial, 0, 5)
        partial.write(write_rows(partial))
        patch.setattr(partial, "_empty", lambda: None)
        partial.finish()
    if is_log_gone:
        (partial.folder / "predictions").unlink()
    with Partial(output) as partial:
        assert not partial.begin(COMMAND)
        partial.finish()
    assert list(output.parent.iterdir()) == [output]
    assert output.read_text() == repr(expected(5))


def test_empty_folder_beside_an_output_is_removed(output):
    output.write_text("mine")
    output.with_name("out.csv.partial").mkdir()
    assert "out.csv exists; give another --output" in complaint(Partial(output).__enter__)
    assert list(output.parent.iterdir()) == [output]


HOLD = """
import sys
from pathlib import Path
from trainer.run.bulk.partial import Partial
with Partial(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_second_process_is_refused_until_the_first_ends(output):
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, output],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    with holder:
        assert holder.stdout.readline() == "held\n"
        assert "another process writes" in complaint(Partial(output).__enter__)
        holder.kill()
    with Partial(output) as partial:
        assert partial.begin(COMMAND)


def test_full_disk_is_explained_and_work_goes_on(output, limit_file_size):
    with Partial(output) as partial:
        partial.begin(COMMAND)
        append(partial, 0, 100)
        limit_file_size(1000)
        message = complaint(append, partial, 100, 100)
        assert message.startswith(f"--output: {partial.folder}/predictions: File too large;")
    limit_file_size(10**6)
    with Partial(output) as partial:
        partial.begin(COMMAND)
        assert partial.rows == 100
