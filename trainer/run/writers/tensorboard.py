"""Event files for TensorBoard, one a kind of line and start, written again on resume.

    board = TensorBoard(store, claim, lines, config)
    board.write("validation", 782, {"loss": 0.31, "accuracy": 0.87})

Each kind is a folder, which TensorBoard shows as a run: `tensorboard/train` and
`tensorboard/validation` have the same tags, so that their curves overlay. `validation` also has the
run's hyper-parameters: the plugin compares runs by the metrics of the folder that these are in, and
runs are compared by their validation. It works out by itself which fields differ between runs.
"""

import contextlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import ml_collections
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.plugins.histogram.metadata import PLUGIN_NAME as HISTOGRAMS
from tensorboard.plugins.text.metadata import PLUGIN_NAME as TEXTS

from storage.claims import Claim
from storage.store import Store
from trainer.run.writers import events, projector
from trainer.run.writers.hyperparameters import hyperparameters
from trainer.run.writers.writer import KINDS, Embedding, Extra, countdown, numbers

_FILE = re.compile(r"(?:[a-z]+/)?events\.out\.tfevents\.(\d+)")


class TensorBoard:
    """Takes over the files of a workdir, cut back to `lines`, for the process of `claim`."""

    def __init__(self, store: Store, claim: Claim, lines: bytes, config: ml_collections.ConfigDict):
        self._store, self._claim = store, claim
        self._folder = config.train.tensorboard_dir
        older = self._older_files()
        self._logs = {}
        for kind in KINDS:
            of_kind = [line for line in map(json.loads, lines.splitlines()) if line["kind"] == kind]
            content = events.encoded(*self._begin(kind, of_kind, older, config))
            name = f"{self._folder}/{kind}/events.out.tfevents.{claim.number:06}"
            self._logs[kind] = store.open_log(name, content, claim.check)
        for name in older:
            store.delete(name)

    def write(
        self, kind: str, step: int, values: Mapping[str, Any], extras: Sequence[Extra] = ()
    ) -> None:
        """Adds a line's numbers and what accompanies it."""
        self._logs[kind].append(events.encoded(events.scalars(step, numbers(values))))
        for extra in extras:
            if isinstance(extra, Embedding):
                folder = f"{self._folder}/{kind}"
                projector.write(self._store, folder, extra, self._claim.check)
            else:
                self._logs[kind].append(events.encoded(events.of_extra(step, extra)))

    def close(self, seconds: float | None = None, finished: bool = True) -> None:
        """Waits up to `seconds` until the store has all; UserError if it fails."""
        left = countdown(seconds)
        with contextlib.ExitStack() as stack:  # closes each, also when one fails
            for log in self._logs.values():
                stack.callback(lambda log: log.close(left()), log)
            self._logs["validation"].append(events.encoded(events.session_end(finished)))

    def _older_files(self) -> list[str]:
        """Returns the files of older starts by age, also those of an earlier version's layout."""
        names = self._store.list(f"{self._folder}/")
        matches = {name: _FILE.fullmatch(name, len(self._folder) + 1) for name in names}
        starts = {name: int(match[1]) for name, match in matches.items() if match}
        older = [name for name, start in starts.items() if start < self._claim.number]
        return sorted(older, key=lambda name: starts[name])

    def _begin(
        self, kind: str, lines: list[dict], older: list[str], config: ml_collections.ConfigDict
    ) -> Iterator[Event]:
        """Yields the events of a start's file up to the last of `lines`, which are all of `kind`.

        Texts and histograms are in no line, so they are taken from the newest older file.
        """
        yield from events.beginning()
        if kind == "validation":
            yield events.session_start(hyperparameters(config))
        for line in lines:
            yield events.scalars(line["step"], numbers(line))
        steps = {line["step"] for line in lines}
        files = [name for name in older if name.startswith(f"{self._folder}/{kind}/")]
        for event in events.read(self._store, files[-1]) if steps and files else ():
            if event.step in steps and _is_extra(event):
                yield event


def _is_extra(event: Event) -> bool:
    plugins = {value.metadata.plugin_data.plugin_name for value in event.summary.value}
    return bool(plugins & {TEXTS, HISTOGRAMS})
