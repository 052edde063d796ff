"""Predicts the texts of concurrent requests together, in one worker thread.

    batcher = Batcher(predict, config.serving, worker, metrics)
    running = asyncio.create_task(batcher.run())
    probabilities = await batcher.predict([b"A film to remember."])     # <float32>[1, labels]

A batch is taken once it is full or its oldest text has waited for `batch_milliseconds`. It is that
text and those nearest to it in length, so that little of the batch is padding and no text waits
forever.
"""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from typing import NamedTuple

import ml_collections
import numpy as np

from trainer.serving.metrics import Metrics

# Probabilities <float32>[texts, labels] of texts in UTF-8.
Predict = Callable[[Sequence[bytes]], np.ndarray]
_BATCHES_AHEAD = 16  # among whose texts a batch is chosen; bounds the time to choose


class _Request:
    """Texts that are answered together; `answer` is cancelled when nobody waits any more."""

    def __init__(self, count: int):
        self.answer: asyncio.Future[np.ndarray] = asyncio.get_running_loop().create_future()
        self._count = count
        self._rows: dict[int, np.ndarray] = {}

    def fill(self, number: int, row: np.ndarray) -> None:
        """Sets the probabilities <float32>[labels] of a text; the last one sets the answer."""
        self._rows[number] = row
        if len(self._rows) == self._count and not self.answer.done():
            self.answer.set_result(np.stack([self._rows[n] for n in range(self._count)]))

    def fail(self, error: Exception) -> None:
        """Makes the error the answer, unless there is one."""
        if not self.answer.done():
            self.answer.set_exception(error)


class _Waiting(NamedTuple):
    text: bytes
    request: _Request
    number: int  # of the text in its request
    since: float  # by the event loop's clock


class Batcher:
    """Collects texts in the event loop and predicts them in `worker`."""

    def __init__(
        self,
        predict: Predict,
        config: ml_collections.ConfigDict,
        worker: Executor,
        metrics: Metrics,
    ):
        """`config` is config.serving."""
        self._predict, self._worker, self._metrics = predict, worker, metrics
        self._size, self._patience = config.batch_size, config.batch_milliseconds / 1000
        self._waiting: list[_Waiting] = []  # the oldest first
        self._due = asyncio.Event()  # set by the first text that waits, and by a full batch
        metrics.waiting_texts.set_function(lambda: len(self._waiting))

    async def predict(self, texts: Sequence[bytes]) -> np.ndarray:
        """Returns the probabilities <float32>[texts, labels] of at least one text in UTF-8.

        Cancelled, it drops the texts that no batch has taken yet.
        """
        request, now = _Request(len(texts)), asyncio.get_running_loop().time()
        is_first = not self._waiting
        self._waiting += [_Waiting(text, request, n, now) for n, text in enumerate(texts)]
        if is_first or len(self._waiting) >= self._size:
            self._due.set()
        return await request.answer

    async def run(self) -> None:
        """Predicts batches until it is cancelled."""
        while True:
            await self._fill()
            if batch := self._take():
                await self._answer(batch)

    async def _fill(self) -> None:
        """Waits until a batch is due."""
        while not self._waiting:
            self._due.clear()
            await self._due.wait()
        left = self._waiting[0].since + self._patience - asyncio.get_running_loop().time()
        if len(self._waiting) < self._size and left > 0:
            self._due.clear()
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._due.wait(), left)

    def _take(self) -> list[_Waiting]:
        """Removes the next batch from what waits; it is empty when all clients have left."""
        waiting = [item for item in self._waiting if not item.request.answer.done()]
        count = min(len(waiting), self._size * _BATCHES_AHEAD)
        by_length = sorted(range(count), key=lambda number: len(waiting[number].text))
        middle = by_length.index(0) if waiting else 0  # the oldest text's place
        start = max(0, min(middle - self._size // 2, count - self._size))
        chosen = by_length[start : start + self._size]
        left = set(range(len(waiting))).difference(chosen)
        self._waiting = [waiting[number] for number in sorted(left)]
        return [waiting[number] for number in chosen]

    async def _answer(self, batch: list[_Waiting]) -> None:
        loop = asyncio.get_running_loop()
        texts = [item.text for item in batch]
        self._metrics.batch_texts.observe(len(texts))
        try:
            rows = await loop.run_in_executor(self._worker, self._predict, texts)
            answered = list(zip(batch, rows, strict=True))
        # Whatever a text does to the graph is the answer to its own request only.
        except Exception as error:
            await self._answer_apart(batch, error)
            return
        self._metrics.texts.inc(len(texts))
        for item, row in answered:
            item.request.fill(item.number, row)

    async def _answer_apart(self, batch: list[_Waiting], error: Exception) -> None:
        """Predicts each text of a failed batch alone."""
        if len(batch) == 1:
            batch[0].request.fail(error)
            return
        for item in batch:
            await self._answer([item])
