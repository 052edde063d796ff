"""All writers of a run behind one interface: metrics.jsonl, and those of `train.writers`.

    require_installed(config)                       # before anything is read or written
    writers = open_writers(config, store, claim, lines)
    writers.write("train", 450, {"loss": 0.41})
    writers.lines                                   # of metrics.jsonl, for the next checkpoint

The run depends on metrics.jsonl alone. When another writer fails, there is one warning, and it is
off until the next start.
"""

import importlib.util
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import ml_collections
from absl import logging

from storage.claims import Claim
from storage.errors import Superseded, UserError
from storage.store import Store
from trainer.run.writers.background import Background, Tracker
from trainer.run.writers.metrics_file import MetricsFile
from trainer.run.writers.mlflow_tracker import MlflowTracker
from trainer.run.writers.tensorboard import TensorBoard
from trainer.run.writers.wandb_tracker import WandbTracker
from trainer.run.writers.writer import Extra, Writer, countdown

_TRACKERS: dict[str, Callable[..., Tracker]] = {"wandb": WandbTracker, "mlflow": MlflowTracker}


class Writers:
    """Writes each line to metrics.jsonl and to the `others`, which may fail."""

    def __init__(self, file: MetricsFile, others: Mapping[str, Writer]):
        """`others` are the further writers by their names in `train.writers`."""
        self._file, self._others = file, dict(others)

    @property
    def lines(self) -> bytearray:
        """All lines of metrics.jsonl so far."""
        return self._file.lines

    def write(
        self, kind: str, step: int, values: Mapping[str, Any], extras: Sequence[Extra] = ()
    ) -> None:
        """Adds a line; UserError when metrics.jsonl can't be written."""
        self._file.write(kind, step, values)
        for name, writer in list(self._others.items()):
            if not _succeeds(name, partial(writer.write, kind, step, values, extras)):
                del self._others[name]

    def close(self, seconds: float | None = None, finished: bool = True) -> None:
        """Waits up to `seconds` for all writers; UserError when metrics.jsonl is not complete.

        The others are closed by the first call, whether that raises or not.
        """
        left = countdown(seconds)
        others, self._others = self._others, {}
        try:
            self._file.close(left())
        finally:
            for name, writer in others.items():
                _succeeds(name, partial(writer.close, left(), finished))


def require_installed(config: ml_collections.ConfigDict) -> None:
    """Raises UserError when the package of one of `train.writers` is missing; imports none."""
    for name in _names(config):
        if name in _TRACKERS and not _is_installed(name):
            raise UserError(
                f"config.train.writers: got {name!r}, but the package {name} is not installed; "
                f"install it with pip install 'longhaul[{name}]', or leave it out"
            )


def _is_installed(name: str) -> bool:
    """Returns True for a package; W&B's offline runs are in a folder `wandb`, which is none."""
    found = importlib.util.find_spec(name)
    return found is not None and found.origin is not None


def open_writers(
    config: ml_collections.ConfigDict, store: Store, claim: Claim, lines: bytes
) -> Writers:
    """Takes over a workdir's metrics, cut back to `lines`, for the process of `claim`.

    Raises UserError when the files of metrics.jsonl and TensorBoard can't be opened.
    """
    file = MetricsFile(store, claim, lines)
    others: dict[str, Writer] = {}
    for name in _names(config):
        if name == "tensorboard":
            others[name] = TensorBoard(store, claim, lines, config)
        else:
            connect = partial(_TRACKERS[name], store, claim, lines, config)
            others[name] = Background(name, connect, claim.check)
    return Writers(file, others)


def _succeeds(name: str, act: Callable[[], None]) -> bool:
    """Returns False, after a warning, when an action of the writer `name` fails."""
    try:
        act()
    except Superseded:
        raise
    except UserError as error:
        logging.warning(
            "config.train.writers: %s is off until the next start (%s); metrics.jsonl has all "
            "metrics",
            *(name, error),
        )
        return False
    return True


def _names(config: ml_collections.ConfigDict) -> list[str]:
    return [name for name in config.train.writers.split(",") if name]
