"""Run with `python -m pytest tests/input_pipeline/labels_test.py`."""

import numpy as np
import pytest

from input_pipeline import labels
from storage.errors import UserError


@pytest.mark.parametrize("number", [0, 1])
def test_name_and_number_are_spellings_of_a_label(number):
    assert labels.number_of(labels.NAMES[number]) == number
    assert labels.number_of(number) == number


@pytest.mark.parametrize("label", ["2", "", "neutral", None, 0.5])
def test_other_spellings_are_unknown(label):
    assert labels.number_of(label) is None


def test_numbers_keep_their_order():
    checked = labels.check_numbers(np.array([1, 0, 1], np.int64), "reviews")
    assert (checked.tolist(), checked.dtype) == ([1, 0, 1], np.int32)


@pytest.mark.parametrize("number", [-1, 2])
def test_other_numbers_are_refused(number):
    with pytest.raises(UserError, match=f"reviews has the label {number}, accepted: 0 and 1"):
        labels.check_numbers(np.array([0, number]), "reviews")


@pytest.mark.parametrize("used", [[0, 0], [1]])
def test_one_label_is_refused(used):
    labels.check_both_used(np.array([0, 1, 1]), "train")
    with pytest.raises(UserError, match=f"'train' have the label {used[0]}; both 0 and 1"):
        labels.check_both_used(np.array(used), "train")
