"""Warnings that a process gives once, however often it reads the same files.

warn("reviews/train: left out ...")
given()         # ("reviews/train: left out ...",)
"""

from absl import logging

_given: dict[str, None] = {}  # in their order


def warn(line: str) -> None:
    """Logs a warning unless this process has logged the same line before."""
    if line not in _given:
        _given[line] = None
        logging.warning("%s", line)


def given() -> tuple[str, ...]:
    """Returns the warnings so far: what sources have left out or found odd."""
    return tuple(_given)
