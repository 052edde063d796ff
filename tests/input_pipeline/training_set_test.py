"""Run with `python -m pytest tests/input_pipeline/training_set_test.py`."""

import collections
import threading

import numpy as np
import pytest
import tensorflow as tf

from input_pipeline import examples, pipeline
from input_pipeline.labels import NO_LABEL
from input_pipeline.pipeline import Batch
from input_pipeline.shards.cache import ShardCache
from input_pipeline.shards.format import concatenate
from input_pipeline.shards.reader import open_set
from input_pipeline.training_set import InMemory, Sharded, StepSizes
from storage.errors import UserError
from storage.store import open_store
from tests.input_pipeline.shards.sets import make_reviews, write_set

BATCH, WIDTH_STEP, MAX_TOKENS = 8, 4, 20
PARTS = [make_reviews(number, reviews) for number, reviews in enumerate([50, 41, 64])]


def sharded(store, parts=PARTS, cache=None, in_memory=False, **options):
    write_set(store, parts, **options)
    return Sharded(open_set(store, "train", cache), MAX_TOKENS, "head_tail", in_memory)


def memory(parts=PARTS):
    return InMemory(concatenate(parts).examples().shortened(MAX_TOKENS, "head_tail"))


KINDS = {
    "memory": lambda folder: memory(),
    "shards": lambda folder: sharded(open_store(str(folder))),
    "shards in memory": lambda folder: sharded(open_store(str(folder)), in_memory=True),
}


@pytest.fixture(params=KINDS)
def reviews(request, tmp_path):
    return KINDS[request.param](tmp_path)


def epoch_of(reviews, epoch=0, seed=1):
    return reviews.epoch(BATCH, WIDTH_STEP, seed, epoch)


def collected(dataset):
    return [Batch(*(part.numpy() for part in batch)) for batch in dataset]


def rows(batches):
    """Counts the reviews in batches, each as its token ids and label."""
    found = collections.Counter()
    for batch in batches:
        for ids, length, label, weight in zip(*batch, strict=True):
            if weight:
                found[(*ids[:length].tolist(), label)] += 1
            else:
                assert (length, ids.sum()) == (1, 0)
    return found


def assert_same(got, expected):
    assert len(got) == len(expected)
    for one, other in zip(got, expected, strict=True):
        for name, left, right in zip(Batch._fields, one, other, strict=True):
            np.testing.assert_array_equal(left, right, err_msg=name)


def test_every_review_is_seen_once_an_epoch(reviews):
    expected = memory()
    seen = rows(collected(epoch_of(reviews).batches(1)))
    assert seen == rows(collected(epoch_of(expected, epoch=5).batches(1)))
    assert sum(seen.values()) == len(reviews) == 155


def test_steps_are_as_many_as_announced(reviews):
    steps = reviews.steps_per_epoch(BATCH)
    epoch = epoch_of(reviews)
    assert len(epoch) == steps == len(collected(epoch.batches(1)))


def test_sizes_are_those_of_the_batches(reviews):
    epoch = epoch_of(reviews)
    for step, batch in enumerate(collected(epoch.batches(1))):
        # The sizes of a block are dropped when those of the next one are asked for.
        tokens = (batch.lengths * batch.weights).sum()
        assert epoch.sizes(step) == StepSizes(batch.weights.sum(), tokens, batch.tokens.size)


def test_sizes_are_known_without_a_batch(reviews):
    epoch, other = epoch_of(reviews), epoch_of(reviews)
    collected(other.batches(1))
    steps = range(len(epoch))
    assert [epoch.sizes(step) for step in steps] == [other.sizes(step) for step in steps]


def test_sizes_are_those_of_all_replicas(reviews):
    epoch = epoch_of(reviews)
    one = [epoch.sizes(step) for step, _ in enumerate(epoch.batches(1))]
    here = range(2, 4)
    other = [epoch.sizes(step // 2) for step, _ in enumerate(epoch.batches(4, 0, here))]
    assert other[::2] == one


def test_shards_in_memory_give_the_batches_of_shards_in_turn(tmp_path):
    store = open_store(str(tmp_path))
    whole, epoch = sharded(store, in_memory=True), epoch_of(sharded(store), epoch=2)
    assert whole.digest == sharded(store).digest
    assert_same(collected(epoch_of(whole, epoch=2).batches(2)), collected(epoch.batches(2)))


@pytest.mark.parametrize("replicas", [1, 2])
def test_any_step_can_be_the_first(reviews, replicas):
    epoch = epoch_of(reviews)
    whole = collected(epoch.batches(replicas))
    for first in range(0, len(epoch) + 1, 3):
        # As in a new process, which knows nothing of the steps before.
        tail = collected(epoch_of(reviews).batches(replicas, first))
        assert_same(tail, whole[first * replicas :])


@pytest.mark.parametrize("here", [range(0, 2), range(2, 4), range(1, 2)])
def test_replicas_get_fixed_slices(reviews, here):
    whole, epoch = collected(epoch_of(reviews).batches(1)), epoch_of(reviews)
    slices = collected(epoch.batches(4, 5, here))
    assert len(slices) == (len(epoch) - 5) * len(here)
    for number, part in enumerate(slices):
        step, replica = divmod(number, len(here))
        start = (here.start + replica) * 2
        expected = Batch(*(field[start : start + 2] for field in whole[5 + step]))
        assert_same([part], [expected])


def test_types_are_those_of_the_pipeline(reviews):
    assert epoch_of(reviews).batches(2).element_spec == epoch_of(memory()).batches(2).element_spec


def test_epochs_and_seeds_differ_and_can_be_made_again(reviews):
    def first(**options):
        return next(iter(collected(epoch_of(reviews, **options).batches(1)))).tokens.tobytes()

    assert len({first(), first(epoch=1), first(seed=2), first(seed=2, epoch=1)}) == 4
    assert first(epoch=1) == first(epoch=1)


@pytest.mark.parametrize("dtype", [np.dtype("<u2"), np.dtype("<i4")], ids=str)
def test_one_block_gives_what_memory_gives(tmp_path, dtype):
    part = make_reviews(reviews=100, dtype=dtype)
    one = sharded(open_store(str(tmp_path)), [part], dtype=dtype)
    other = memory([part])
    for epoch in range(2):
        assert_same(
            collected(epoch_of(one, epoch).batches(2, 3)),
            collected(epoch_of(other, epoch).batches(2, 3)),
        )


def test_no_batch_has_reviews_of_two_blocks(tmp_path):
    firsts = [set(map(tuple, _ids(part))) for part in PARTS]
    epoch = epoch_of(sharded(open_store(str(tmp_path))))
    for batch in collected(epoch.batches(1)):
        seen = {row[:-1] for row in rows([batch])}
        assert any(seen <= block for block in firsts)


def _ids(part):
    return part.examples().shortened(MAX_TOKENS, "head_tail").tokens.to_list()


def test_reading_is_a_shard_ahead_and_no_more(tmp_path, monkeypatch):
    monkeypatch.setattr(pipeline, "STEPS_AHEAD", 1)
    reviews = sharded(open_store(str(tmp_path)), [make_reviews(number, 64) for number in range(6)])
    read, read_shard = [], reviews.read_shard
    ahead = threading.Event()

    def counted(number):
        read.append(number)
        if len(read) == 2:
            ahead.set()
        return read_shard(number)

    monkeypatch.setattr(reviews, "read_shard", counted)
    epoch = epoch_of(reviews)
    iterator = iter(epoch.batches(1))
    next(iterator)
    assert ahead.wait(10)  # the second shard is read before it is asked for
    for step in range(1, len(epoch)):
        next(iterator)
        # The shard of the step that is prepared next, and one more.
        assert len(read) <= (step + 2) // 8 + 2
    assert read == epoch._blocks.order.tolist()


def test_resuming_reads_no_shard_that_is_done(tmp_path, monkeypatch):
    reviews = sharded(open_store(str(tmp_path)), [make_reviews(number, 64) for number in range(6)])
    read, read_shard = [], reviews.read_shard
    monkeypatch.setattr(
        reviews, "read_shard", lambda number: (read.append(number), read_shard(number))[1]
    )
    epoch = epoch_of(reviews)
    collected(epoch.batches(1, first_step=35))
    assert read == epoch._blocks.order[4:].tolist()


def test_batches_come_through_the_cache(store, tmp_path):
    cache = ShardCache(tmp_path / "cache", 10**6)
    reviews = sharded(store, cache=cache)
    whole = collected(epoch_of(reviews).batches(1))
    for shard in (name for name in store.list("train/") if "index" not in name):
        store.delete(shard)
    assert_same(collected(epoch_of(reviews).batches(1)), whole)


def test_cause_of_a_failed_reading_is_raised(store):
    reviews = sharded(store)
    epoch = epoch_of(reviews)
    last = f"train/{open_set(store, 'train', None).index.shards[epoch._blocks.order[2]].name}"
    store.delete(last)
    with pytest.raises(UserError, match=f"{last} is missing"), epoch.faults():
        collected(epoch.batches(1))


def test_other_errors_are_raised_unchanged(reviews):
    with pytest.raises(tf.errors.UnavailableError), epoch_of(reviews).faults():
        raise tf.errors.UnavailableError(None, None, "a worker was lost")


def test_strategies_accept_the_batches(reviews):
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    epoch = epoch_of(reviews)
    whole = collected(epoch.batches(1))
    dataset = strategy.distribute_datasets_from_function(lambda _: epoch.batches(2))
    for step, batch in enumerate(dataset):
        parts = [strategy.experimental_local_results(field) for field in batch]
        for got, expected in zip(parts, whole[step], strict=True):
            np.testing.assert_array_equal(np.concatenate(got), expected)


UNLABELLED = examples.from_arrays(np.arange(2, 62), np.full(20, 3), np.full(20, NO_LABEL))


def test_reviews_without_a_label_are_beside_the_others():
    alone, both = memory(), InMemory(memory().examples, UNLABELLED, beside=4)
    assert len(both) == len(alone)
    assert both.steps_per_epoch(BATCH) == alone.steps_per_epoch(BATCH)
    assert both.digest != alone.digest
    for batch, expected in zip(
        collected(epoch_of(both).batches(1)), collected(epoch_of(alone).batches(1)), strict=True
    ):
        others = batch.labels == NO_LABEL
        assert others.sum() == 4
        np.testing.assert_array_equal(batch.labels[~others], expected.labels)
        np.testing.assert_array_equal(batch.lengths[~others], expected.lengths)
    labelled = both.epoch(BATCH, WIDTH_STEP, 1, 0, labelled_only=True)
    assert_same(collected(labelled.batches(1)), collected(epoch_of(alone).batches(1)))


def test_reviews_without_a_label_may_be_among_the_others():
    both = InMemory(memory().examples, UNLABELLED)
    assert len(both) == len(memory()) + 20
    labels = np.concatenate([batch.labels for batch in collected(epoch_of(both).batches(1))])
    assert (labels == NO_LABEL).sum() == 20
