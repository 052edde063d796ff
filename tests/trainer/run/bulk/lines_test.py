"""Lines of standard input, from pipes and files."""

import os

import pytest

from tests.input_pipeline.sources.reading import complaint
from trainer.run.bulk.lines import lines


@pytest.fixture
def pipe():
    """A reader, and a function that writes bytes to it, or ends it without any."""
    source, sink = os.pipe()
    with os.fdopen(source, "rb") as reader, os.fdopen(sink, "wb", 0) as writer:
        yield reader, lambda data=b"": writer.write(data) if data else writer.close()


def read(tmp_path, content):
    (tmp_path / "input").write_bytes(content)
    with (tmp_path / "input").open("rb") as stream:
        return [line for line in lines(stream) if line is not None]


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_lines_of_a_file_are_decoded(tmp_path, end):
    assert read(tmp_path, f"één\r\n\ntwee{end}".encode()) == ["één", "", "twee"]


def test_long_lines_are_whole(tmp_path):
    texts = ["x" * 200_000, "", "é" * 70_001, "y"]
    assert read(tmp_path, "\n".join(texts).encode()) == texts


def test_what_has_arrived_is_given_before_waiting_for_more(pipe):
    reader, write = pipe
    found = lines(reader)
    write(b"one\ntwo\nthr")
    assert [next(found) for _ in range(3)] == ["one", "two", None]
    write(b"ee\nfour")
    assert [next(found) for _ in range(2)] == ["three", None]
    write()
    assert list(found) == ["four"]


def test_line_that_is_not_utf8_is_refused_after_those_before_it(pipe):
    reader, write = pipe
    write(b"fine\n\xff\nbad\n")
    found = lines(reader)
    assert [next(found), next(found)] == ["fine", None]
    assert "standard input, line 2: not UTF-8; convert it" in complaint(next, found)


def test_input_without_lines_is_refused(tmp_path):
    assert "standard input: empty or closed; give" in complaint(read, tmp_path, b"")
    with (tmp_path / "input").open("wb") as stream:
        assert "can't be read" in complaint(list, lines(stream))
