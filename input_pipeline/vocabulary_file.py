"""The file of a vocabulary, read without TensorFlow.

tokens, rules = parse(store.read(VOCABULARY_FILE), "runs/imdb/vocabulary.txt")

`vocabulary` says what the lines mean.
"""

import re
from typing import NamedTuple

from storage.errors import UserError

VOCABULARY_FILE = "vocabulary.txt"
PADDING, UNKNOWN = 0, 1
UNKNOWN_TOKEN = "<unk>"  # noqa: S105 - no password
FIRST_TOKENS = ("<pad>", UNKNOWN_TOKEN)  # of PADDING and UNKNOWN
_FIRST_LINE = re.compile(r"<pad(?: rules=([1-9]\d{0,8}))?>")


class Content(NamedTuple):
    """What a vocabulary file says."""

    tokens: tuple[str, ...]  # in the order of their ids
    rules: int  # version of the text rules that made them


def parse(data: bytes, name: str) -> Content:
    """Parses a vocabulary file; raises UserError, which calls it `name`, when it isn't one."""
    try:
        first, *others = data.decode().split("\n")
    except UnicodeDecodeError as error:
        raise UserError(f"{name}: not UTF-8 at byte {error.start}; bring back the file") from error
    head, tokens = _FIRST_LINE.fullmatch(first), (FIRST_TOKENS[0], *others)
    if not head or tokens[:2] != FIRST_TOKENS or tokens[-1] or len(set(tokens)) != len(tokens):
        raise UserError(
            f"{name}: not a vocabulary, which has <pad> or <pad rules=N> and {UNKNOWN_TOKEN} on "
            "its first two lines, then one token a line, none twice; bring back the file"
        )
    return Content(tokens[:-1], int(head[1] or 1))
