"""Run with `python -m pytest tests/input_pipeline/vectors_test.py`."""

import numpy as np
import pytest

from input_pipeline import vectors
from storage.errors import UserError

TOKENS = ("<pad>", "<unk>", "film", "dull", "naïve")
FILM, NAIVE = [0.25, -1.5, 3e-05], [1.0, 2.0, -0.125]
LINES = ["the 1 2 3", "film 0.25 -1.5 3e-05", "naïve 1 2 -0.125"]


@pytest.fixture
def written(tmp_path):
    """Returns a function that writes a file of vectors, of lines or bytes, and gives its path."""

    def write(content):
        path = tmp_path / "vectors.txt"
        if not isinstance(content, bytes):
            content = "".join(f"{line}\n" for line in content).encode()
        path.write_bytes(content)
        return path

    return write


def complaint(path, size=3):
    with pytest.raises(UserError) as raised:
        vectors.read(path, TOKENS, size)
    message = str(raised.value)
    assert message.startswith(f"config.model.vectors: {path}") and "\n" not in message
    return message


@pytest.mark.parametrize(
    "lines",
    [
        ["3 3", *LINES],  # as word2vec writes it
        LINES,  # as GloVe does
        ["3 3 ", *(f"{line} " for line in LINES)],  # as the first word2vec did
        [*LINES, ". . . 4 5 6", "film 7 8 9"],  # a word with spaces, and one that occurs again
        [line.replace(" ", "  ") + "\r" for line in LINES],
    ],
    ids=["word2vec", "glove", "spaces at the end", "odd words", "windows"],
)
def test_vectors_of_known_words_are_read(written, lines):
    ids, rows = vectors.read(written(lines), TOKENS, 3)
    assert ids.dtype == np.int32 and rows.dtype == np.float32
    np.testing.assert_array_equal(ids, [2, 4])
    np.testing.assert_array_equal(rows, np.float32([FILM, NAIVE]))


def test_unknown_words_may_have_a_vector_and_the_padding_has_none(written):
    ids, rows = vectors.read(written(["<pad> 1", "<unk> 2"]), TOKENS, 1)
    assert (ids.tolist(), rows.tolist()) == ([1], [[2.0]])


def test_written_vectors_are_read_to_the_bit(written):
    rows = np.random.default_rng(0).normal(size=(3, 7)).astype(np.float32)
    rows[0, :2] = 1e-38, 3e38
    ids, found = vectors.read(written(vectors.to_bytes(TOKENS[2:], rows)), TOKENS, 7)
    np.testing.assert_array_equal(ids, [2, 3, 4])
    np.testing.assert_array_equal(found, rows)


@pytest.mark.parametrize("has_head", [True, False])
def test_files_are_those_of_gensim(written, tmp_path, has_head):
    keyed_vectors = pytest.importorskip("gensim.models").KeyedVectors
    rows = np.random.default_rng(0).normal(size=(3, 7)).astype(np.float32)
    ours = written(vectors.to_bytes(TOKENS[2:], rows))
    theirs = keyed_vectors.load_word2vec_format(ours)
    assert theirs.index_to_key == list(TOKENS[2:])
    np.testing.assert_array_equal(theirs.vectors, rows)
    theirs.save_word2vec_format(tmp_path / "theirs.txt", write_header=has_head)
    _, found = vectors.read(tmp_path / "theirs.txt", TOKENS, 7)
    np.testing.assert_allclose(found, rows, rtol=1e-6)


@pytest.mark.parametrize("head", [["3 3"], []])
def test_vectors_of_another_size_are_refused_with_the_size_to_give(written, head):
    message = complaint(written([*head, *LINES]), size=8)
    assert "has vectors of 3 numbers, and the run's have 8; give" in message
    assert "--config.model.embedding_size=3, or another file" in message


@pytest.mark.parametrize(
    "line",
    ["film 1 2", "film 1 2 3 4", "film 1 2 x", "film 1 nan 3", "film 1 2 1e39", "", "film",
     b"\xff 1 2 3", b"fi\xe9lm 1 2 3"],
)  # fmt: skip
def test_damaged_line_is_named(written, line):
    line = line if isinstance(line, bytes) else line.encode()
    path = written(b"the 1 2 3\n" + line + b"\ndull 1 2 3\n")
    assert ": line 2 is not a word in UTF-8 and as many finite numbers as" in complaint(path)


def test_binary_file_is_refused(written):
    rows = np.random.default_rng(0).normal(size=(300, 3)).astype(np.float32)
    content = b"300 3\n" + b"".join(b"word " + row.tobytes() for row in rows)
    assert "give a file in word2vec's text format" in complaint(written(content))


def test_file_without_an_end_of_line_is_refused(written):
    assert ": line 1 is not a word" in complaint(written(bytes(3 * 2**20)))


@pytest.mark.parametrize("promised", [2, 4])
def test_file_that_was_cut_short_is_refused(written, promised):
    message = complaint(written([f"{promised} 3", *LINES]))
    assert f"has 3 vectors, but promises {promised} in its first line" in message


@pytest.mark.parametrize("lines", [["the 1 2 3", "<pad> 1 2 3"], ["Film 1 2 3"], []])
def test_file_without_a_known_word_is_refused(written, lines):
    assert "has none of the 4 words of the vocabulary" in complaint(written(lines))


def test_place_without_a_file_is_refused(tmp_path):
    for path in (tmp_path / "missing.txt", tmp_path):
        assert "is not a file; give the path of" in complaint(path)
