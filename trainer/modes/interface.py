"""The interface of a mode: each module of this folder has `run(call)`.

def run(call: Call) -> None: ...
"""

from collections.abc import Sequence
from typing import NamedTuple

import ml_collections

from input_pipeline.sources.formats.row import is_unicode
from storage.errors import UserError
from storage.store import Store
from trainer.machines.preemption import StopRequests

EXPORTED_GRAPH = "saved_model.pb"  # the file that every export has, written last


def require_utf8(text: str) -> None:
    """Raises UserError for a --text that UTF-8 can't represent."""
    if not is_unicode(text):
        raise UserError(f"--text: {text!a} is not UTF-8; convert it")


class Call(NamedTuple):
    """One command; a flag that the mode doesn't take has its default."""

    store: Store  # the workdir, of several the first
    config: ml_collections.ConfigDict | None  # checked; None where the mode can do without
    stop: StopRequests
    started: float  # when the process started, by time.monotonic
    others: Sequence[Store]  # further workdirs, of runs that are averaged with the first
    checkpoint: str  # 'best', 'last' or a step
    text: Sequence[str]  # reviews given as flags
    to: str  # folder or URL to write to; "" for a place in the workdir
    input: str  # file of reviews; "" for none
    output: str
    text_column: str  # "" for that of the training
    on_bad_row: str  # 'fail' or 'skip'
    compare: Sequence[str]  # other workdirs
    host: str
    port: int  # 0 takes a free one
    name: str  # of the model, for clients
