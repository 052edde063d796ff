"""Run with `python -m pytest tests/input_pipeline/sources/sample_test.py`."""

import pytest
import tensorflow as tf

from input_pipeline.sources import sample_corpus
from tests.input_pipeline.sources.reading import complaint, open_source, read


@pytest.mark.parametrize("split", ["train", "test"])
def test_sample_is_the_embedded_corpus(split):
    names = ("negative", "positive")
    reviews = [(text, names[label]) for text, label in sample_corpus.reviews(split)]
    assert read("sample", split) == reviews


def test_batches_have_the_types_of_the_contract():
    for texts, labels in open_source("sample").batches("test"):
        assert texts.dtype == tf.string
        assert texts.shape == (len(labels),)
        assert all(isinstance(label, str) for label in labels)


def test_fingerprint_of_the_sample_tells_splits_apart():
    source = open_source("sample")
    assert source.fingerprint("test") == source.fingerprint("test") != source.fingerprint("train")


def test_unknown_split_of_the_sample_is_refused():
    message = complaint(read, "sample", "dev", unlabelled_split="dev")
    assert message.startswith("config.data.unlabelled_split: sample has no split 'dev', only train")
