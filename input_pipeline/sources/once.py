"""Warnings that a process gives once, however often it reads the same files.

warn("reviews/train: left out ...")
"""

import functools

from absl import logging


@functools.cache
def warn(line: str) -> None:
    """Logs a warning unless this process has logged the same line before."""
    logging.warning("%s", line)
