"""Reviews in overlapping segments, which an LSTM layer reads side by side instead of one by one.

    segments = Segments(tokens=128, overlap=32)
    states = segments.joined(read(segments.split(inputs)), time=512)    # [batch, 512, units]

A layer's time goes into its steps, one after the other. In segments there are fewer steps, each for
more rows, which the cores of a CPU compute faster.

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

        Those of a row follow each other. The last one may end in padding, which is 0. A row no
        longer than a segment is returned as it is.
        """
        if not self.tokens:
            return values
        batch, time, width = _shape(values)
        segments, step = self._count(time), self._step
        # Blocks of a step each; a segment is several of them, of which the last may be cut.
        blocks = -(-self.tokens // step)
        slots = (segments - 1 + blocks) * step
        padded = tf.pad(values, [[0, 0], [0, slots - time], [0, 0]])
        pieces = tf.reshape(padded, [batch, segments - 1 + blocks, step, width])
        parts = [pieces[:, first : first + segments] for first in range(blocks)]
        length = _least(self.tokens, time)
        return tf.reshape(
            tf.concat(parts, axis=2)[:, :, :length], [batch * segments, length, width]
        )

    def joined(self, states: tf.Tensor, time: int | tf.Tensor) -> tf.Tensor:
        """Returns the states [batch, time, units] of the segments of rows `time` tokens long.

        `states` [batch * segments, tokens, units] are what a layer makes of `split`.
        """
        if not self.tokens:
            return states
        rows, length, units = _shape(states)
        segments = self._count(time)
        batch = rows // segments
        each = tf.reshape(states, [batch, segments, length, units])
        later = tf.reshape(each[:, 1:, self.overlap :], [batch, (segments - 1) * self._step, units])
        return tf.concat([each[:, 0], later], axis=1)[:, :time]

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
