"""Reviews to train on, in memory or in shards, behind one interface.

    reviews = InMemory(examples)                # or InMemory(examples, unlabelled, beside=64)
    reviews = Sharded(open_set(store, "train", cache), max_tokens=512, keep="head_tail")
    epoch = reviews.epoch(batch_size=64, width_step=16, seed=0, epoch=3)
    with epoch.faults():
        for batch in epoch.batches(replicas=1, first_step=1500): ...
    epoch.sizes(1500).tokens       # of the batch of that step, over all replicas

Both give the same batches for the same reviews when these are a single shard.
"""

import contextlib
import functools
from collections.abc import Iterator
from typing import NamedTuple, Protocol

import numpy as np
import tensorflow as tf

from input_pipeline import batch_plan, pipeline
from input_pipeline.batch_plan import BatchPlan
from input_pipeline.examples import Examples, together
from input_pipeline.shards.format import PackedReviews
from input_pipeline.shards.reader import ShardSet
from storage.errors import UserError

_READERS = 2  # threads: one makes batches, one waits for the next shard


class StepSizes(NamedTuple):
    """What the batch of a step holds, over all replicas."""

    reviews: int  # without the empty rows that fill the batch up
    tokens: int
    slots: int  # token slots, with padding


class Epoch(Protocol):
    """The steps of one epoch; `len` is their number."""

    def __len__(self) -> int: ...

    def sizes(self, step: int) -> StepSizes:
        """Returns what the batch of a step holds. Asking in the order of steps is fastest."""

    def batches(
        self, replicas: int, first_step: int = 0, here: range | None = None
    ) -> tf.data.Dataset:
        """Returns a dataset of `Batch` from any step on; see `pipeline.batches`."""

    def faults(self) -> contextlib.AbstractContextManager[None]:
        """Raises the UserError that stopped the reading in place of TensorFlow's error for it."""


class TrainingSet(Protocol):
    """Reviews to train on; `len` is their number."""

    def __len__(self) -> int: ...

    @property
    def digest(self) -> str:
        """Returns a text that is equal for equal data, on any machine."""

    def steps_per_epoch(self, batch_size: int) -> int:
        """Returns the number of steps, without reading a review."""

    def epoch(
        self, batch_size: int, width_step: int, seed: int, epoch: int, labelled_only: bool = False
    ) -> Epoch:
        """Returns the steps of an epoch, a pure function of the arguments.

        With `labelled_only` its batches have no reviews beside the labelled ones.
        """


class InMemory:
    """A TrainingSet of examples that are cut to `max_tokens` already.

    With `unlabelled` reviews each batch has `beside` of them beside the labelled ones; or with 0
    they are planned as if they had labels.
    """

    def __init__(self, examples: Examples, unlabelled: Examples | None = None, beside: int = 0):
        self.examples = together(examples, unlabelled) if unlabelled else examples
        self._planned = len(examples) if beside else len(self.examples)
        self._beside = beside

    def __len__(self) -> int:
        return self._planned

    @property
    def digest(self) -> str:
        """Returns the digest of the examples."""
        return self.examples.digest

    def steps_per_epoch(self, batch_size: int) -> int:
        """Returns the number of steps; one batch at most is not full."""
        return batch_plan.steps_per_epoch(len(self), batch_size)

    def epoch(
        self, batch_size: int, width_step: int, seed: int, epoch: int, labelled_only: bool = False
    ) -> "_PlannedEpoch":
        """Returns the epoch of one training plan."""
        planned, others = np.split(self.examples.lengths, [self._planned])
        plan = batch_plan.training_plan(planned, batch_size, width_step, seed, epoch)
        if self._beside and not labelled_only:
            cut = (self._beside, width_step, seed, epoch)
            plan = batch_plan.with_unlabelled(plan, self._planned, others, *cut)
        return _PlannedEpoch(self.examples, plan)


class _PlannedEpoch:
    """An Epoch of reviews in memory, with one plan for all its steps."""

    def __init__(self, examples: Examples, plan: BatchPlan):
        self._examples, self._plan = examples, plan
        self._sizes = _sizes(plan, examples.lengths)

    def __len__(self) -> int:
        return len(self._plan)

    def sizes(self, step: int) -> StepSizes:
        return self._sizes[step]

    def batches(
        self, replicas: int, first_step: int = 0, here: range | None = None
    ) -> tf.data.Dataset:
        return pipeline.batches(self._examples, self._plan, replicas, first_step, here)

    def faults(self) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext()


class Sharded:
    """A TrainingSet whose shards are read one after the other; each is one block of the plan."""

    def __init__(self, shards: ShardSet, max_tokens: int, keep: str, in_memory: bool = False):
        """`max_tokens` and `keep` are those of `text.keep_tokens`.

        With `in_memory` all shards are read at the first epoch. Batches that other machines make
        need it: those machines get tensors and can't call back into this process.
        """
        self._shards = shards
        self._max_tokens, self._keep = max_tokens, keep
        self._in_memory = in_memory

    def __len__(self) -> int:
        return len(self._shards)

    @property
    def digest(self) -> str:
        """Returns the digest of the index."""
        return self._shards.index.digest

    @property
    def id_dtype(self) -> np.dtype:
        """Returns the dtype of the token ids."""
        return self._shards.index.dtype

    def steps_per_epoch(self, batch_size: int) -> int:
        """Returns the number of steps; one batch of each shard at most is not full."""
        return sum(
            batch_plan.steps_per_epoch(reviews, batch_size)
            for reviews in self._shards.index.reviews_per_shard
        )

    def read_shard(self, number: int) -> PackedReviews:
        """Returns the reviews of a shard, cut to `max_tokens`."""
        return self._shards.read_shard(number).shortened(self._max_tokens, self._keep)

    def epoch(
        self, batch_size: int, width_step: int, seed: int, epoch: int, labelled_only: bool = False
    ) -> Epoch:
        """Returns an epoch; reads nothing yet, unless all shards go into memory."""
        if self._in_memory:
            cut = (batch_size, width_step, seed, epoch)
            return _PlannedEpoch(self._examples, batch_plan.plan_of_blocks(self._lengths, *cut))
        counts = self._shards.index.reviews_per_shard
        return _ShardedEpoch(self, counts, batch_size, width_step, seed, epoch)

    @functools.cached_property
    def _examples(self) -> Examples:
        return self._shards.examples().shortened(self._max_tokens, self._keep)

    @property
    def _lengths(self) -> list[np.ndarray]:
        """Returns the tokens of each review <int64>[reviews], for each shard."""
        counts = self._shards.index.reviews_per_shard
        return np.split(self._examples.lengths, np.cumsum(counts)[:-1])


class _ShardedEpoch:
    """An Epoch that reads a shard while the one before is in use. Memory holds no more than two."""

    def __init__(
        self,
        reviews: Sharded,
        reviews_per_shard: tuple[int, ...],
        batch_size: int,
        width_step: int,
        seed: int,
        epoch: int,
    ):
        self._reviews = reviews
        self._cut = (batch_size, width_step, seed, epoch)
        self._blocks = batch_plan.block_plan(reviews_per_shard, batch_size, seed, epoch)
        self._sizes: dict[int, list[StepSizes]] = {}  # place of a block -> sizes of its steps
        self._fault: UserError | None = None

    def __len__(self) -> int:
        return len(self._blocks)

    def sizes(self, step: int) -> StepSizes:
        place, row = self._blocks.locate(step)
        for passed in [known for known in tuple(self._sizes) if known < place]:
            del self._sizes[passed]
        if place not in self._sizes:  # `batches` has not read it
            self._read_and_plan(place)
        return self._sizes[place][row]

    @contextlib.contextmanager
    def faults(self) -> Iterator[None]:
        try:
            yield
        except tf.errors.OpError as error:
            if self._fault:  # `error` has only its text
                raise self._fault from error
            raise

    def batches(
        self, replicas: int, first_step: int = 0, here: range | None = None
    ) -> tf.data.Dataset:
        here = here or range(replicas)
        size = self._cut[0] // replicas
        first_place, first_row = self._blocks.locate(first_step)
        id_dtype = tf.as_dtype(self._reviews.id_dtype)

        def read(place: np.int64) -> tuple[np.ndarray, ...]:
            first = first_row if place == first_place else 0
            return self._read(int(place), first, replicas, here)

        def block(place: tf.Tensor) -> tuple[tf.Tensor, ...]:
            dtypes = (id_dtype, tf.int64, tf.int32, tf.int32, tf.int32)
            shapes = ([None], [None], [None], [None, size], [None])
            parts = tf.numpy_function(read, [place], dtypes)
            return tuple(map(tf.ensure_shape, parts, shapes))

        def steps(
            tokens: tf.Tensor,
            lengths: tf.Tensor,
            labels: tf.Tensor,
            ids: tf.Tensor,
            widths: tf.Tensor,
        ) -> tf.data.Dataset:
            reviews = tf.RaggedTensor.from_row_lengths(tokens, lengths, validate=False)
            rows = tf.data.Dataset.from_tensor_slices((ids, widths))
            return rows.map(lambda ids, width: pipeline.lookup(reviews, labels, ids, width))

        places = tf.data.Dataset.range(first_place, len(self._blocks.order))
        dataset = (
            places.map(block).prefetch(1).flat_map(steps).prefetch(pipeline.STEPS_AHEAD * len(here))
        )
        options = tf.data.Options()
        options.autotune.enabled = False
        # A private pool: a slow bucket must not take the threads that training steps need.
        options.threading.private_threadpool_size = _READERS
        return dataset.with_options(options)

    def _read_and_plan(self, place: int) -> tuple[PackedReviews, BatchPlan]:
        """Reads the shard at a place of the epoch, plans its batches and notes their sizes."""
        number = int(self._blocks.order[place])
        reviews = self._reviews.read_shard(number)
        plan = batch_plan.training_plan(reviews.lengths, *self._cut, block=number)
        self._sizes[place] = _sizes(plan, reviews.lengths)
        return reviews, plan

    def _read(
        self, place: int, first_row: int, replicas: int, here: range
    ) -> tuple[np.ndarray, ...]:
        """Returns the arguments of `steps` in `batches`, from a row of the block's plan on."""
        try:
            reviews, plan = self._read_and_plan(place)
        except UserError as error:
            self._fault = error
            raise
        ids, widths = pipeline.slices(plan, replicas, first_row, here)
        labels = reviews.labels.astype(np.int32)
        return reviews.tokens, reviews.lengths.astype(np.int64), labels, ids, widths


def _sizes(plan: BatchPlan, lengths: np.ndarray) -> list[StepSizes]:
    """Returns the sizes of each step, given the tokens of each review <int>[reviews]."""
    present = plan.ids != batch_plan.NO_REVIEW
    tokens = np.where(present, lengths[plan.ids], 0).sum(axis=1)
    slots = plan.widths.astype(np.int64) * plan.ids.shape[1]
    columns = (present.sum(axis=1), tokens, slots)
    return [StepSizes(*sizes) for sizes in zip(*(c.tolist() for c in columns), strict=True)]
