"""Run with `python -m pytest tests/input_pipeline/sample_corpus_test.py`.

The embedded corpus must not change, and must need a model with memory.
"""

import hashlib
import re

import pytest
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression

from input_pipeline.sources import sample_corpus


@pytest.fixture(scope="module")
def train():
    return sample_corpus.reviews("train")


@pytest.fixture(scope="module")
def test():
    return sample_corpus.reviews("test")


def words(text):
    return re.findall(r"[a-z0-9']+", text.lower().replace("<br />", " "))


def sentences(text):
    return [" ".join(words(part)) for part in re.split(r"[.!?]", text) if words(part)]


def ngram_accuracy(train, test, longest):
    vectorizer = CountVectorizer(analyzer=lambda text: ngrams(words(text), longest), min_df=2)
    counts = vectorizer.fit_transform([text for text, _ in train])
    model = LogisticRegression(solver="liblinear").fit(counts, [label for _, label in train])
    return model.score(
        vectorizer.transform([text for text, _ in test]), [label for _, label in test]
    )


def ngrams(tokens, longest):
    return [
        " ".join(tokens[start : start + size])
        for size in range(1, longest + 1)
        for start in range(len(tokens) - size + 1)
    ]


def digest(reviews):
    joined = "\n".join(f"{label} {text}" for text, label in reviews)
    return hashlib.sha256(joined.encode()).hexdigest()


def test_sizes_and_balance(train, test):
    assert (len(train), len(test)) == (6000, 2000)
    assert sum(label for _, label in train) == 3000
    assert sum(label for _, label in test) == 1000
    assert {label for _, label in train + test} == {0, 1}


def test_labels_are_mixed_throughout(train):
    for start in range(0, len(train), 500):
        assert 200 < sum(label for _, label in train[start : start + 500]) < 300


def test_reviews_are_of_plausible_length(train, test):
    lengths = [len(words(text)) for text, _ in train + test]
    assert min(lengths) >= 30
    assert max(lengths) <= 120
    assert 60 <= sum(lengths) / len(lengths) <= 90
    assert all(4 <= len(sentences(text)) <= 9 for text, _ in train + test)


def test_text_is_written_out_in_full(train, test):
    for text, _ in train + test:
        assert re.fullmatch(r"[A-Za-z' ,:.!?<>/]+", text), text  # no {name} is left over
        assert not re.search(r" [,.!?]|, *,|\ba [aeiou]", text), text


def test_corpus_has_not_changed(train, test):
    # Published numbers hold for this text only.
    assert digest(train) == "b43c7f69594cf9796dd8384a9b4b77ed1b2051dc222124afdb2e7a2d4ff02d3f"
    assert digest(test) == "c5a75c6826aa0ac074dee0b924f78865619f523bbefc395eced231fd2fc1de72"


def test_every_call_gives_the_same_reviews(test):
    assert sample_corpus.reviews("test") == test


def test_splits_share_no_sentence(train, test):
    seen = {sentence for text, _ in train for sentence in sentences(text)}
    assert not seen & {sentence for text, _ in test for sentence in sentences(text)}


def test_test_has_no_unseen_word(train, test):
    seen = {word for text, _ in train for word in words(text)}
    assert {word for text, _ in test for word in words(text)} <= seen


def test_words_alone_do_not_tell_the_label(train, test):
    assert ngram_accuracy(train, test, 1) < 0.80


@pytest.mark.slow
def test_runs_of_three_words_do_not_tell_the_label(train, test):
    assert ngram_accuracy(train, test, 3) < 0.85


def test_unknown_split_is_refused():
    with pytest.raises(ValueError, match=r"'dev'.*train, test"):
        sample_corpus.reviews("dev")
