"""Run with `python -m pytest tests/input_pipeline/labels_test.py`."""

import numpy as np
import pytest

from input_pipeline import labels
from input_pipeline.labels import SENTIMENTS, Labels
from storage.errors import UserError


def named(*names, positive=""):
    """Returns the labels of ten training reviews of each of these names."""
    return labels.choose(dict.fromkeys(names, 10), positive)


@pytest.mark.parametrize("names", [("pos", "neg"), ("1", "0"), ("NEGATIVE", "Positive", "pos")])
def test_spellings_of_sentiments_are_one_name_each_in_any_order(names):
    assert named(*names) == SENTIMENTS == named(*reversed(names))
    assert SENTIMENTS.numbers(["neg", "1", "POS", "negative"], "test").tolist() == [0, 1, 1, 0]


@pytest.mark.parametrize(
    ("names", "order"),
    [
        (["10", "9", "1.5"], ("1.5", "9", "10")),
        (["b", "a", "10", "9"], ("10", "9", "a", "b")),
        (["0", "1", "2"], ("0", "1", "2")),
        (["positive", "neutral", "negative"], ("negative", "neutral", "positive")),
        (["nan", "2", "3"], ("2", "3", "nan")),
        (["pos", "1", "neg", "neutral"], ("negative", "neutral", "positive")),
        (["1.0", "1", "0", "0.0"], SENTIMENTS.names),
        (["1.0", "1", "2.00", "-3"], ("-3", "1", "2")),
        (["cafe\u0301", "caf\u00e9", "bar\u200b", "x"], ("bar", "caf\u00e9", "x")),
    ],
)
def test_order_depends_on_the_names_alone(names, order):
    assert named(*names).names == named(*reversed(names)).names == order


def test_numbers_are_places_among_the_names():
    numbers = named("a", "b", "c").numbers(["c", "a", "b"], "test")
    assert (numbers.tolist(), numbers.dtype) == ([2, 0, 1], np.int32)


@pytest.mark.parametrize("chosen", [named("a", "b", "c"), SENTIMENTS])
def test_label_that_training_reviews_do_not_have_is_refused(chosen):
    with pytest.raises(
        UserError, match=f"'test' has the label 'x', accepted .*: '{chosen.names[0]}', "
    ):
        chosen.numbers([chosen.names[1], "x"], "test")


@pytest.mark.parametrize("positive", ["ham", "spam"])
def test_positive_label_is_the_one_asked_for(positive):
    assert named("ham", "spam", positive=positive).names[1] == positive


def test_names_that_look_the_same_are_the_same():
    drinks = named("cafe\u0301", "tea\ufeff", positive="caf\u00e9")
    assert drinks.names == ("tea", "caf\u00e9")
    assert drinks.numbers(["caf\u00e9", "cafe\u0301", " tea"], "test").tolist() == [1, 1, 0]


def test_positive_label_may_be_a_spelling():
    assert named("pos", "neg", positive="0").names == ("positive", "negative")
    assert named("pos", "neg", positive="0").numbers(["0", "pos"], "test").tolist() == [1, 0]


@pytest.mark.parametrize(
    ("names", "positive", "message"),
    [
        (["ham", "spam"], "", "positive_label: got '', accepted is one of 'ham', 'spam'"),
        (["ham", "spam"], "eggs", "positive_label: got 'eggs', accepted is one of 'ham', 'spam'"),
        (["1", "2", "3"], "3", "positive_label: got '3', but there are 3 labels"),
        (["pos", "1"], "", "all training reviews have the label 'positive'; at least two"),
        (["ham"], "", "all training reviews have the label 'ham'; at least two"),
        ([str(n) for n in range(257)], "", "label_column: .* more than 256 different labels"),
    ],
)
def test_labels_that_do_not_fit_are_refused(names, positive, message):
    with pytest.raises(UserError, match=message):
        named(*names, positive=positive)


def test_label_of_one_review_looks_like_a_typing_error():
    with pytest.raises(UserError, match="the label 'positve' has one training review of 201"):
        labels.choose({"positive": 100, "positve": 1, "negative": 100}, "")


@pytest.mark.parametrize("chosen", [SENTIMENTS, named("a b", "ü", "3")])
def test_file_comes_out_as_it_went_in(chosen):
    assert labels.from_bytes(chosen.to_bytes(), "labels.txt") == chosen


@pytest.mark.parametrize("content", [b"", b"one\n", b"one\ntwo", b"one\none\n", b"one\n\xff\n"])
def test_damaged_file_is_named(content):
    with pytest.raises(UserError, match=r"^run/labels\.txt: not .*bring back the file"):
        labels.from_bytes(content, "run/labels.txt")


def test_every_label_needs_a_review_to_train_on():
    labels.require_all(np.array([0, 1, 1]), SENTIMENTS, "train")
    with pytest.raises(UserError, match="'train' to train on has the label 'negative'"):
        labels.require_all(np.array([1, 1]), SENTIMENTS, "train")


@pytest.mark.parametrize("positive", ["negative", "0", "spam"])
def test_positive_label_of_prepared_reviews_can_not_change(positive):
    for same in ("", "positive", "pos"):
        SENTIMENTS.require_positive(same, "x")
    with pytest.raises(UserError, match=f"positive_label: got '{positive}', but the labels of x"):
        SENTIMENTS.require_positive(positive, "x")


def test_text_tells_the_numbers():
    assert str(Labels(("ham", "spam"))) == "'ham' is 0, 'spam' is 1 (the positive one)"
    assert str(Labels(("1", "2", "3"))) == "'1' is 0, '2' is 1, '3' is 2"
