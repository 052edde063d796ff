"""Reviews to train on, in memory or in shards, behind one interface.

    reviews = InMemory(examples)
    reviews = Sharded(open_set(store, "train", cache), max_tokens=512, keep="head_tail")
    epoch = reviews.epoch(batch_size=64, width_step=16, seed=0, epoch=3)
    with epoch.faults():
        for batch in epoch.batches(replicas=1, first_step=1500): ...
    epoch.sizes(1500)        # words, and places for words, of that step's batch

Both give the same batches for the same reviews, as long as these are one block.
"""

import contextlib
import functools
from collections.abc import Iterator
from typing import Protocol

import numpy as np
import tensorflow as tf

from input_pipeline import batch_plan, pipeline
from input_pipeline.batch_plan import BatchPlan
from input_pipeline.examples import Examples
from input_pipeline.shards.format import Reviews, ShardSet
from storage.errors import UserError

_READERS = 2  # threads: one makes batches, one waits for the next block


class Epoch(Protocol):
    """The steps of one epoch; `len` is how many."""

    def __len__(self) -> int: ...

    def sizes(self, step: int) -> tuple[int, int]:
        """Words in the batch of a step, and places for words, with padding; best asked in order."""

    def batches(
        self, replicas: int, first_step: int = 0, here: range | None = None
    ) -> tf.data.Dataset:
        """Dataset of `Batch`, from any step on; see `pipeline.batches`."""

    def faults(self) -> contextlib.AbstractContextManager[None]:
        """Within, what makes reading fail is raised as the UserError that it is."""


class TrainingSet(Protocol):
    """Reviews; `len` is how many."""

    def __len__(self) -> int: ...

    @property
    def digest(self) -> str:
        """Tells data apart whatever machine it lies on."""

    def steps_per_epoch(self, batch_size: int) -> int:
        """Known without reading a review."""

    def epoch(self, batch_size: int, width_step: int, seed: int, epoch: int) -> Epoch:
        """A pure function of its arguments."""


class InMemory:
    """A TrainingSet of examples that are shortened already."""

    def __init__(self, examples: Examples):
        self.examples = examples

    def __len__(self) -> int:
        return len(self.examples)

    @property
    def digest(self) -> str:
        """Of ids, lengths and labels."""
        return self.examples.digest

    def steps_per_epoch(self, batch_size: int) -> int:
        """All batches are full but one."""
        return batch_plan.steps_per_epoch(len(self), batch_size)

    def epoch(self, batch_size: int, width_step: int, seed: int, epoch: int) -> "_Table":
        """One table."""
        lengths = self.examples.lengths
        plan = batch_plan.training_plan(lengths, batch_size, width_step, seed, epoch)
        return _Table(self.examples, plan)


class _Table:
    """An Epoch of one plan."""

    def __init__(self, examples: Examples, plan: BatchPlan):
        self._examples, self._plan = examples, plan
        self._sizes = _sizes(plan, examples.lengths)

    def __len__(self) -> int:
        return len(self._plan)

    def sizes(self, step: int) -> tuple[int, int]:
        return self._sizes[step]

    def batches(
        self, replicas: int, first_step: int = 0, here: range | None = None
    ) -> tf.data.Dataset:
        return pipeline.batches(self._examples, self._plan, replicas, first_step, here)

    def faults(self) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext()


class Sharded:
    """A TrainingSet whose shards are read when their turn comes, each one block of the plan."""

    def __init__(self, shards: ShardSet, max_tokens: int, keep: str, at_once: bool = False):
        """`max_tokens` and `keep` are those of `text.keep_tokens`.

        `at_once` reads all shards into memory, for batches that other machines make: these get
        tensors, and can't call back into this process.
        """
        self._shards = shards
        self._max_tokens, self._keep = max_tokens, keep
        self._at_once = at_once

    def __len__(self) -> int:
        return len(self._shards)

    @property
    def digest(self) -> str:
        """Of the index."""
        return self._shards.index.digest

    @property
    def token(self) -> np.dtype:
        """The type of the ids."""
        return self._shards.index.token

    def steps_per_epoch(self, batch_size: int) -> int:
        """All batches of a shard are full but one."""
        return sum(
            batch_plan.steps_per_epoch(reviews, batch_size)
            for reviews in self._shards.index.reviews
        )

    def block(self, number: int) -> Reviews:
        """The reviews of a block, shortened."""
        return self._shards.block(number).shortened(self._max_tokens, self._keep)

    def epoch(self, batch_size: int, width_step: int, seed: int, epoch: int) -> Epoch:
        """Reads nothing yet, unless all is read at once."""
        if self._at_once:
            cut = (batch_size, width_step, seed, epoch)
            return _Table(self._examples, batch_plan.plan_of_blocks(self._lengths, *cut))
        return _Blocks(self, self._shards.index.reviews, batch_size, width_step, seed, epoch)

    @functools.cached_property
    def _examples(self) -> Examples:
        return self._shards.examples().shortened(self._max_tokens, self._keep)

    @property
    def _lengths(self) -> list[np.ndarray]:
        """Words of each review, by shard."""
        return np.split(self._examples.lengths, np.cumsum(self._shards.index.reviews)[:-1])


class _Blocks:
    """An Epoch in blocks: one is gone through while the next is read, and no more are in memory."""

    def __init__(
        self,
        reviews: Sharded,
        counts: tuple[int, ...],
        batch_size: int,
        width_step: int,
        seed: int,
        epoch: int,
    ):
        self._reviews = reviews
        self._cut = (batch_size, width_step, seed, epoch)
        self._blocks = batch_plan.block_plan(counts, batch_size, seed, epoch)
        self._sizes: dict[int, list[tuple[int, int]]] = {}  # place -> those of its steps
        self._trouble: UserError | None = None

    def __len__(self) -> int:
        return len(self._blocks)

    def sizes(self, step: int) -> tuple[int, int]:
        place, row = self._blocks.locate(step)
        for passed in [known for known in tuple(self._sizes) if known < place]:
            del self._sizes[passed]
        if place not in self._sizes:  # no batch of it was asked for
            self._measure(place)
        return self._sizes[place][row]

    @contextlib.contextmanager
    def faults(self) -> Iterator[None]:
        try:
            yield
        except tf.errors.OpError as error:
            if self._trouble:  # of which TensorFlow has made a text on the way
                raise self._trouble from error
            raise

    def batches(
        self, replicas: int, first_step: int = 0, here: range | None = None
    ) -> tf.data.Dataset:
        here = here or range(replicas)
        size = self._cut[0] // replicas
        first_place, first_row = self._blocks.locate(first_step)
        token = tf.as_dtype(self._reviews.token)

        def read(place: np.int64) -> tuple[np.ndarray, ...]:
            first = first_row if place == first_place else 0
            return self._read(int(place), first, replicas, here)

        def block(place: tf.Tensor) -> tuple[tf.Tensor, ...]:
            kinds = (token, tf.int64, tf.float32, tf.int32, tf.int32)
            shapes = ([None], [None], [None], [None, size], [None])
            parts = tf.numpy_function(read, [place], kinds)
            return tuple(map(tf.ensure_shape, parts, shapes))

        def rows(tokens, lengths, labels, ids, widths) -> tf.data.Dataset:
            reviews = tf.RaggedTensor.from_row_lengths(tokens, lengths, validate=False)
            steps = tf.data.Dataset.from_tensor_slices((ids, widths))
            return steps.map(lambda ids, width: pipeline.lookup(reviews, labels, ids, width))

        places = tf.data.Dataset.range(first_place, len(self._blocks.order))
        dataset = (
            places.map(block).prefetch(1).flat_map(rows).prefetch(pipeline.STEPS_AHEAD * len(here))
        )
        options = tf.data.Options()
        options.autotune.enabled = False
        # Threads of its own: a bucket that lets one wait must not keep it from a training step.
        options.threading.private_threadpool_size = _READERS
        return dataset.with_options(options)

    def _measure(self, place: int) -> tuple[Reviews, BatchPlan]:
        """Reads a block and plans it."""
        number = int(self._blocks.order[place])
        reviews = self._reviews.block(number)
        plan = batch_plan.training_plan(reviews.lengths, *self._cut, block=number)
        self._sizes[place] = _sizes(plan, reviews.lengths)
        return reviews, plan

    def _read(
        self, place: int, first_row: int, replicas: int, here: range
    ) -> tuple[np.ndarray, ...]:
        """What `rows` above makes batches of, from a row of the block's plan on."""
        try:
            reviews, plan = self._measure(place)
        except UserError as error:
            self._trouble = error
            raise
        ids, widths = pipeline.slices(plan, replicas, first_row, here)
        labels = reviews.labels.astype(np.float32)
        return reviews.tokens, reviews.lengths.astype(np.int64), labels, ids, widths


def _sizes(plan: BatchPlan, lengths: np.ndarray) -> list[tuple[int, int]]:
    """(words, places for words) of each step, over all replicas."""
    present = plan.ids != batch_plan.NO_REVIEW
    words = np.where(present, lengths[plan.ids], 0).sum(axis=1)
    places = plan.widths.astype(np.int64) * plan.ids.shape[1]
    return list(zip(words.tolist(), places.tolist(), strict=True))
