"""Run with `python -m pytest tests/input_pipeline/streaming_test.py`."""

import collections
import copy
import itertools
import threading

import numpy as np
import pytest
import tensorflow as tf

from input_pipeline import streaming
from input_pipeline.text import WORDS, tokenize
from storage.errors import UserError
from tests.input_pipeline.sources.reading import open_source


@pytest.fixture(scope="module")
def source(reviews):
    return open_source(f"files:{reviews}")


def test_labels_are_those_of_the_source(source):
    counted = []
    names, places = streaming.read_labels(source, "train", counted.append)
    expected = [name for _, names in source.batches("train") for name in names]
    assert [names[place] for place in places] == expected
    assert (sorted(names), sum(counted)) == (sorted(set(expected)), 700)


def test_batches_are_numbered_by_their_first_review(source):
    starts = [start for start, _, _ in streaming.numbered_batches(source, "train", 700)]
    sizes = [len(names) for _, names in source.batches("train")]
    assert starts == np.cumsum([0, *sizes])[:-1].tolist()


@pytest.mark.parametrize("before", [0, 699, 701])
def test_another_count_is_refused(source, before):
    with pytest.raises(UserError, match=f"had {before} reviews and has 700 now"):
        list(streaming.numbered_batches(source, "train", before))


def test_tokens_are_counted_over_all_batches(source):
    batches = ((0, texts) for texts, _ in source.batches("train"))
    counted = streaming.count_tokens_by_part(batches, WORDS)
    texts = [text for texts, _ in source.batches("train") for text in texts.numpy()]
    tokens = tokenize(tf.constant(texts), WORDS).flat_values.numpy().tolist()
    assert list(counted) == [(0, collections.Counter(token.decode() for token in tokens))]


def test_results_keep_the_order_of_their_items():
    assert list(streaming.in_threads(lambda item: item * 2, range(1000))) == [*range(0, 2000, 2)]


def test_items_are_asked_for_a_few_ahead(monkeypatch):
    monkeypatch.setattr(streaming, "usable_cores", lambda: 2)
    asked = itertools.count()
    items = (next(asked) for _ in range(1000))
    for done, _ in enumerate(streaming.in_threads(lambda item: item, items), 1):
        assert next(copy.copy(asked)) <= done + 2 * streaming._AHEAD


def test_failure_ends_it_and_its_threads():
    before = set(threading.enumerate())
    with pytest.raises(ZeroDivisionError):
        list(streaming.in_threads(lambda item: 1 / item, [2, 1, 0, 1]))
    assert set(threading.enumerate()) <= before


def test_what_runs_in_the_background_gives_its_result_or_its_error():
    before = set(threading.enumerate())
    go = threading.Event()
    waiting = streaming.in_background(lambda: go.wait() and 7)
    failing = streaming.in_background(lambda: 1 / 0)
    assert not waiting.done()
    with pytest.raises(ZeroDivisionError):
        failing.result()
    go.set()
    assert waiting.result() == 7
    for thread in set(threading.enumerate()) - before:
        thread.join()
