"""The results of a test, review by review, as the workdir keeps them."""

import io

import numpy as np
import pytest

from storage.errors import UserError
from tests.trainer.run.results import results_of
from trainer.run import test_results


def flat(results):
    """Returns all values as plain lists, to compare."""
    *fields, mistakes = results
    rows = [(mistake.review, *map(np.ndarray.tolist, mistake[1:])) for mistake in mistakes]
    return [value.tolist() if isinstance(value, np.ndarray) else value for value in fields], rows


@pytest.mark.parametrize(
    "results",
    [
        results_of(),
        results_of(mistakes=()),
        results_of(mistakes=(test_results.Mistake(0, np.int32([1]), np.float32([])),)),
    ],
)
def test_what_is_written_is_read(results):
    data = test_results.to_bytes(results)
    read = test_results.from_bytes(data, "name")
    assert flat(read) == flat(results)
    assert read.predicted.tolist() == [0, 1, 1]
    assert test_results.to_bytes(read) == data


def saved(**fields):
    content = io.BytesIO()
    np.savez(content, **fields)
    return content.getvalue()


WHOLE = test_results.to_bytes(results_of())


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"no archive",
        WHOLE[: len(WHOLE) // 2],
        WHOLE[:600] + b"\0\0\0\0" + WHOLE[604:],
        saved(format=1, step=3),
        saved(step=3),
        saved(format=np.array([1, 2])),
        b"\x93NUMPY\x01\x00v\x00{'descr': '<i8', 'fortran_order': False, 'shape': (), }"
        + b" " * 58
        + b"\n12345678",
        saved(format=np.array([{}], dtype=object)),
        test_results.to_bytes(results_of(labels=np.int32([0, 1]))),
        test_results.to_bytes(results_of(labels=np.int32([0, 1, 2]))),
        test_results.to_bytes(results_of(labels=np.int32([0, 1, -1]))),
        test_results.to_bytes(results_of(probabilities=np.float32([0.1, 0.2, 0.3]))),
        test_results.to_bytes(
            results_of(mistakes=(test_results.Mistake(9, np.int32([1]), np.float32([1])),))
        ),
        test_results.to_bytes(
            results_of(mistakes=(test_results.Mistake(0, np.int32([1]), np.float32([1, 2])),))
        ),
    ],
)
def test_damaged_file_is_named(data):
    with pytest.raises(UserError, match=r"^runs/x/test_results.npz: can't be read \("):
        test_results.from_bytes(data, "runs/x/test_results.npz")


def test_file_of_a_newer_version_is_refused():
    with pytest.raises(UserError, match="has format 2, this version reads up to 1"):
        test_results.from_bytes(saved(format=2), "name")
