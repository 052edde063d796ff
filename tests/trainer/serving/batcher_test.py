"""Texts of concurrent requests are predicted together, each as if it were alone."""

import asyncio
import contextlib
from concurrent.futures import ThreadPoolExecutor

import pytest

from configs import default
from tests.trainer.serving.servers import SECONDS, Held, by_length
from trainer.serving.batcher import Batcher
from trainer.serving.metrics import Metrics


@contextlib.asynccontextmanager
async def running(predict, **limits):
    config = default.get_config().serving
    config.update(limits)
    with ThreadPoolExecutor(1) as worker:
        batcher = Batcher(predict, config, worker, Metrics())
        task = asyncio.create_task(batcher.run())
        yield batcher
        task.cancel()


async def begun(held):
    """Waits until a batch is being predicted."""
    await asyncio.to_thread(held.wait_for_batch)


def texts(*lengths):
    return [b"x" * length for length in lengths]


def lengths(batches):
    return [[len(text) for text in batch] for batch in batches]


def test_requests_at_the_same_time_share_a_batch_and_get_their_own_rows():
    batches = []

    def predict(batch):
        batches.append(batch)
        return by_length(batch)

    async def ask():
        async with running(predict, batch_milliseconds=1000.0, batch_size=5) as batcher:
            asked = [texts(30, 1), texts(7), texts(2, 50)]
            return asked, await asyncio.gather(*map(batcher.predict, asked))

    asked, answers = asyncio.run(ask())
    assert lengths(batches) == [[1, 2, 7, 30, 50]]
    for request, answer in zip(asked, answers, strict=True):
        assert answer.tolist() == by_length(request).tolist()


def test_batch_that_is_not_full_goes_after_the_wait():
    async def ask():
        async with running(by_length, batch_milliseconds=1.0) as batcher:
            return await batcher.predict(texts(3))

    assert asyncio.run(ask()).tolist() == by_length(texts(3)).tolist()


def test_large_request_is_cut_and_comes_back_in_its_order():
    batches = []

    def predict(batch):
        batches.append(batch)
        return by_length(batch)

    async def ask():
        async with running(predict, batch_size=4) as batcher:
            return await batcher.predict(texts(9, 1, 8, 2, 7, 3, 6, 4, 5))

    answer = asyncio.run(ask())
    assert answer.tolist() == by_length(texts(9, 1, 8, 2, 7, 3, 6, 4, 5)).tolist()
    assert sorted(map(len, batches)) == [1, 4, 4]


def test_oldest_text_goes_next_with_those_of_its_length():
    held = Held()

    async def ask():
        async with running(held, batch_size=2, batch_milliseconds=0.0) as batcher:
            first = asyncio.create_task(batcher.predict(texts(1)))
            await begun(held)
            others = [asyncio.create_task(batcher.predict(texts(n))) for n in (90, 5, 80, 6, 85)]
            await asyncio.sleep(0)  # lets them in
            held.released.set()
            await asyncio.gather(first, *others)

    asyncio.run(ask())
    assert lengths(held.batches) == [[1], [85, 90], [5, 6], [80]]


def test_texts_of_a_cancelled_request_are_dropped():
    held = Held()

    async def ask():
        async with running(held, batch_milliseconds=0.0) as batcher:
            first = asyncio.create_task(batcher.predict(texts(1)))
            await begun(held)
            gone, stays = (asyncio.create_task(batcher.predict(texts(n))) for n in (2, 3))
            await asyncio.sleep(0)
            gone.cancel()
            held.released.set()
            return await asyncio.gather(first, gone, stays, return_exceptions=True)

    answers = asyncio.run(ask())
    assert isinstance(answers[1], asyncio.CancelledError)
    assert lengths(held.batches) == [[1], [3]]


def test_batches_go_on_after_all_have_left():
    held = Held()

    async def ask():
        async with running(held, batch_milliseconds=0.0) as batcher:
            first = asyncio.create_task(batcher.predict(texts(1)))
            await begun(held)
            gone = asyncio.create_task(batcher.predict(texts(2)))
            await asyncio.sleep(0)
            gone.cancel()
            held.released.set()
            await first
            return await batcher.predict(texts(3))

    assert asyncio.run(ask()).shape == (1, 2)
    assert lengths(held.batches) == [[1], [3]]


def test_batches_go_on_after_a_model_that_returns_too_few_rows():
    async def ask():
        async with running(lambda texts: by_length(texts)[: texts != [b"bad"]]) as batcher:
            answers = asyncio.gather(
                batcher.predict([b"bad"]), batcher.predict([b"fine"]), return_exceptions=True
            )
            return await asyncio.wait_for(answers, SECONDS)

    bad, fine = asyncio.run(ask())
    assert isinstance(bad, ValueError)
    assert fine.tolist() == by_length([b"fine"]).tolist()


def test_text_that_fails_fails_its_request_only():
    def predict(batch):
        if b"bad" in batch:
            raise ValueError("bad")
        return by_length(batch)

    async def ask():
        async with running(predict, batch_milliseconds=1000.0, batch_size=4) as batcher:
            asked = ([b"fine"], [b"a", b"bad"], [b"good"])
            return await asyncio.gather(*map(batcher.predict, asked), return_exceptions=True)

    fine, bad, good = asyncio.run(ask())
    assert fine.tolist() == by_length([b"fine"]).tolist()
    assert good.tolist() == by_length([b"good"]).tolist()
    with pytest.raises(ValueError, match="bad"):
        raise bad
