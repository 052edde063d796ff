"""Reviews in overlapping segments, which an LSTM layer reads side by side instead of one by one.

    segments = Segments(tokens=128, overlap=32)
    states = segments.joined(read(segments.split(inputs)), time=512)    # [batch, 512, units]

A layer's steps come one after the other. In segments there are fewer of them, each for more rows,
which suits devices that compute many rows in the time of one. It is no gain on a CPU: there a row
takes about as long among many as among few, and the overlap is read twice.

Each segment starts `tokens` - `overlap` tokens after the one before. The overlap is a run-up: a
token's state is that of the first segment it is in. There the layer has read all tokens before it,
or `overlap` of them at least. What a layer gives for a token so depends on the tokens before it
only, not on the width of the batch. A layer that reads backward gets reviews in reverse order, and
its segments count from a review's last token.

Every layer reads the joined states of the layer below, so that a second layer's run-up carries what
the first one has read before it.
"""

import dataclasses

import tensorflow as tf


@dataclasses.dataclass(frozen=True)
class Segments:
    """How long segments are, and by how much they overlap, in tokens; `overlap` is the smaller."""

    tokens: int  # 0 is off: all is one segment
    overlap: int

    def split(self, values: tf.Tensor) -> tf.Tensor:
        """Returns the segments [batch * segments, tokens, width] of [batch, time, width].

        Those of a row follow each other, and are no longer than the row. The last one may end in
        copies of the row's end.
        """
        if not self.tokens:
            return values
        batch, time, width = _shape(values)
        count, length = self._count(time), _least(self.tokens, time)
        starts = tf.range(count) * self._step
        places = tf.minimum(starts[:, tf.newaxis] + tf.range(length), time - 1)
        parts = tf.gather(values, places, axis=1)
        return tf.reshape(parts, [batch * count, length, width])

    def joined(self, states: tf.Tensor, time: int | tf.Tensor) -> tf.Tensor:
        """Returns the states [batch, time, units] of the segments of rows `time` tokens long.

        `states` [batch * segments, tokens, units] are what a layer makes of `split`.
        """
        if not self.tokens:
            return states
        rows, length, units = _shape(states)
        count, places = self._count(time), tf.range(time)
        first = tf.maximum(places - self.overlap, 0) // self._step  # the first segment with a token
        flat = tf.reshape(states, [rows // count, count * length, units])
        return tf.gather(flat, first * length + places - first * self._step, axis=1)

    def slots(self, time: int) -> int:
        """Returns how many token slots a layer reads for a row `time` tokens long."""
        return self._count(time) * min(self.tokens, time) if self.tokens else time

    @property
    def _step(self) -> int:
        return self.tokens - self.overlap

    def _count(self, time: int | tf.Tensor) -> int | tf.Tensor:
        """Returns how many segments a row has that is `time` tokens long."""
        return -_least(-1, (self.overlap - time) // self._step)


def _shape(values: tf.Tensor) -> list[int | tf.Tensor]:
    """Returns the size of each dimension: a number where it is known as the graph is traced."""
    return [size or tf.shape(values)[axis] for axis, size in enumerate(values.shape)]


def _least(first: int, second: int | tf.Tensor) -> int | tf.Tensor:
    return min(first, second) if isinstance(second, int) else tf.minimum(first, second)
