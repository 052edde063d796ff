"""Records of TensorBoard's event files.

    data = encoded(*beginning(), scalars(10, {"loss": 0.5}))   # for an empty file
    events = read(store, "tensorboard/train/events.out.tfevents.000001")

Only TensorBoard is needed, since TensorFlow's own writer writes to files and not to a store.
"""

import io
import time
from collections.abc import Mapping

import numpy as np
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.histogram import metadata as histograms
from tensorboard.plugins.hparams import api_pb2, summary_v2
from tensorboard.plugins.hparams import metadata as hparams
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData, SessionEndInfo
from tensorboard.plugins.text import summary_v2 as texts
from tensorboard.summary.writer.record_writer import RecordWriter
from tensorboard.util import tensor_util

from storage.store import Store
from trainer.run.writers.writer import Histogram, Text


def beginning() -> tuple[Event, ...]:
    """Returns the events that every file begins with: the format and a restart at step 0.

    At a restart, a TensorBoard that is running forgets the points from that step on.
    """
    now, restart = time.time(), SessionLog(status=SessionLog.START)
    return (
        Event(wall_time=now, file_version="brain.Event:2"),
        Event(wall_time=now, step=0, session_log=restart),
    )


def scalars(step: int, values: Mapping[str, float]) -> Event:
    """Returns an event with a number a tag."""
    numbers = [Summary.Value(tag=tag, simple_value=value) for tag, value in values.items()]
    return of_summary(step, Summary(value=numbers))


def of_extra(step: int, content: Text | Histogram) -> Event:
    """Returns an event with a text or a histogram."""
    if isinstance(content, Text):
        return of_summary(step, texts.text_pb(content.tag, content.markdown))
    # The plugin's rows are the left edge, the right edge and the count of each bucket.
    rows = np.stack([content.edges[:-1], content.edges[1:], content.counts], axis=1)
    value = Summary.Value(
        tag=content.tag,
        metadata=histograms.create_summary_metadata(display_name=None, description=None),
        tensor=tensor_util.make_tensor_proto(rows, dtype=np.float64),
    )
    return of_summary(step, Summary(value=[value]))


def session_start(fields: Mapping[str, bool | float | str]) -> Event:
    """Returns the event that begins a run with these hyper-parameters."""
    return of_summary(0, summary_v2.hparams_pb(fields))


def session_end(finished: bool) -> Event:
    """Returns the event that ends it."""
    status = api_pb2.STATUS_SUCCESS if finished else api_pb2.STATUS_UNKNOWN
    end = SessionEndInfo(status=status, end_time_secs=time.time())
    value = Summary.Value(
        tag=hparams.SESSION_END_INFO_TAG,
        metadata=hparams.create_summary_metadata(HParamsPluginData(session_end_info=end)),
        tensor=hparams.NULL_TENSOR,
    )
    return of_summary(0, Summary(value=[value]))


def of_summary(step: int, summary: Summary) -> Event:
    """Returns a summary as an event."""
    return Event(wall_time=time.time(), step=step, summary=summary)


def encoded(*events: Event) -> bytes:
    """Returns the events as bytes of an event file."""
    records = io.BytesIO()
    writer = RecordWriter(records)
    for event in events:
        writer.write(event.SerializeToString())
    return records.getvalue()


def read(store: Store, name: str) -> list[Event]:
    """Returns the events of a file, up to the first damaged one; none when there is no file."""
    with store.scratch() as folder:
        path = folder / "events"
        try:
            store.download(name, path)
        except FileNotFoundError:
            return []
        return list(EventFileLoader(str(path)).Load())
