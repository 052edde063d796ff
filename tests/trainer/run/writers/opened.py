"""What the tests of writers share: a writer of a small config, and TensorBoard's own reader."""

import json

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from storage import claims
from tests.conftest import small_config
from trainer.run.writers import several


def open_writers(store, lines=b"", names="tensorboard", **fields):
    """Opens the writers `names` for the next start, with `fields` of the config's `train` part."""
    config = small_config()
    config.train.update(writers=names, **fields)
    return several.open_writers(config, store, claims.take(store), lines)


def metrics(folder):
    """Returns the lines of metrics.jsonl."""
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def board(folder):
    """Returns what TensorBoard reads from the folder of one of its runs."""
    events = EventAccumulator(str(folder), size_guidance={"tensors": 0, "scalars": 0})
    return events.Reload()


def points(folder, tag):
    """Returns step and value of each point that TensorBoard draws of a tag."""
    return [(event.step, event.value) for event in board(folder).Scalars(tag)]
