"""Word vectors in word2vec's text format: read for the tokens of a vocabulary, and written.

    ids, vectors = read(Path("vectors.txt"), vocabulary.tokens, size=128)
    store.write(VECTORS_FILE, to_bytes(words, vectors))

A line is a word and its numbers, with a space before each number. The first line of word2vec's
files says how many vectors follow and how many numbers each has; GloVe's files lack it. Of a word
that occurs twice the first vector counts.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np

from input_pipeline.vocabulary_file import PADDING
from storage import os_errors
from storage.errors import UserError

VECTORS_FILE = "vectors.txt"
_FIELD = "config.model.vectors"
# A longer line is no text of vectors. It bounds the memory that a file without lines takes.
_LONGEST_NUMBER, _LONGEST_LINE = 64, 2**20  # bytes


def read(path: Path, tokens: Sequence[str], size: int) -> tuple[np.ndarray, np.ndarray]:
    """Reads the vectors of those tokens of a vocabulary that a file has.

    Only these are kept in memory, and only their numbers are parsed.

    Args:
        path: a file in UTF-8.
        tokens: in the order of their ids; the padding gets no vector.
        size: `model.embedding_size`, the numbers that each vector must have.

    Returns:
        The ids <int32>[found], growing, and their vectors <float32>[found, size]. Raises UserError
        for a file that can't be read, has vectors of another size or a damaged line, or holds none
        of the tokens.
    """
    ids = {token.encode(): number for number, token in enumerate(tokens) if number != PADDING}
    vectors = np.zeros((len(tokens), size), np.float32)
    is_found = np.zeros(len(tokens), bool)
    try:
        with _open(path) as file:
            for line, word, numbers in _lines(file, path, size):
                number = ids.pop(word, None)
                if number is not None:
                    vectors[number] = _parsed(numbers, path, line)
                    is_found[number] = True
    except OSError as error:
        raise UserError(f"{_FIELD}: {path}: {os_errors.explanation(error)}") from error
    if not is_found.any():
        raise UserError(
            f"{_FIELD}: {path} has none of the {len(tokens) - 1:,} words of the vocabulary; give "
            "vectors of words of the reviews' language, in lower case"
        )
    return np.flatnonzero(is_found).astype(np.int32), vectors[is_found]


def to_bytes(words: Sequence[str], vectors: np.ndarray) -> bytes:
    """Returns the file of some words and their vectors <float32>[words, size], none rounded."""
    lines = ["{} {}".format(*vectors.shape)]
    for word, vector in zip(words, vectors.tolist(), strict=True):
        lines.append(f"{word} {' '.join([f'{number:.9g}' for number in vector])}")
    return "\n".join([*lines, ""]).encode()


def _open(path: Path) -> BinaryIO:
    if not path.is_file():
        raise UserError(f"{_FIELD}: {path} is not a file; give the path of a file of word vectors")
    return path.open("rb")


def _lines(file: BinaryIO, path: Path, size: int) -> Iterator[tuple[int, bytes, bytes]]:
    """Yields (number of the line, word, its numbers as text) of each vector of a file.

    Raises UserError for a line that is none, and at the end for a file that was cut short.
    """
    longest = max(_LONGEST_LINE, size * _LONGEST_NUMBER)
    promised, number = None, 0
    while line := file.readline(longest):
        number += 1
        line = line.rstrip(b" \r\n")
        if number == 1:
            promised, size_of_file = _described(line)
            if size_of_file not in (None, size):
                raise UserError(
                    f"{_FIELD}: {path} has vectors of {size_of_file:,} numbers, and the run's have "
                    f"{size:,}; give --config.model.embedding_size={size_of_file}, or another file"
                )
            if promised is not None:
                continue
        word, numbers = _split(line, size)
        if not numbers or not _is_utf8(word):
            raise _damaged(path, number)
        yield number, word, numbers
    found = number - (promised is not None)
    if promised not in (None, found):
        raise UserError(
            f"{_FIELD}: {path} has {found:,} vectors, but promises {promised:,} in its first line; "
            "bring back the whole file"
        )


def _described(line: bytes) -> tuple[int | None, int | None]:
    """Returns what a first line says: the number of vectors, and the numbers that each has.

    A first line that is a vector promises none. One that is neither says nothing.
    """
    first, *others = _parts(line) or [b""]
    if len(others) == 1 and first.isdigit() and others[0].isdigit():
        return int(first), int(others[0])
    return None, len(others) if others and _is_number(others[-1]) else None


def _split(line: bytes, size: int) -> tuple[bytes, bytes]:
    """Returns the word of a line and its numbers, which are b"" when these are not `size`."""
    if line.count(b" ") == size:
        word, _, numbers = line.partition(b" ")
        return word, numbers
    parts = _parts(line)
    word, numbers = (b" ".join(part) for part in (parts[:-size], parts[-size:]))
    # In GloVe's files some words have spaces; a number too many is none of them.
    has_rest = b" " in word and _is_number(parts[-size - 1])
    return word, b"" if has_rest or not word else numbers


def _parts(line: bytes) -> list[bytes]:
    """Returns what spaces separate; other white space may be part of a word."""
    return [part for part in line.split(b" ") if part]


def _parsed(numbers: bytes, path: Path, line: int) -> np.ndarray:
    """Returns the vector <float64>[size]; UserError when a number is none, or is not finite."""
    try:
        vector = np.array(numbers.split(b" "), np.float64)
    except ValueError as error:
        raise _damaged(path, line) from error
    if not (np.abs(vector) < np.finfo(np.float32).max).all():
        raise _damaged(path, line)
    return vector


def _is_number(text: bytes) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _is_utf8(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


def _damaged(path: Path, line: int) -> UserError:
    return UserError(
        f"{_FIELD}: {path}: line {line:,} is not a word in UTF-8 and as many finite numbers as "
        "config.model.embedding_size says; give a file in word2vec's text format"
    )
