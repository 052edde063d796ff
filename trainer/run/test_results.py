"""What a run's test found for each review: kept in the workdir for the report.

    store.write(NAME, to_bytes(results))
    results = from_bytes(store.read(NAME), f"{store.url}/{NAME}")

`examination` makes it. Nothing here needs TensorFlow. The file is an .npz of arrays without pickle.
"""

import io
import zipfile
import zlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from storage.errors import UserError

NAME = "test_results.npz"
FORMAT = 1
# What NumPy and the format raise for other bytes, and here arrays of another kind or shape.
_DAMAGE = (
    *(ValueError, KeyError, IndexError, TypeError, AttributeError, EOFError, OSError),
    *(NotImplementedError, zipfile.BadZipFile, zlib.error),
)


class Mistake(NamedTuple):
    """A review that got a wrong label with a high probability."""

    review: int  # its index among the reviews of the test
    tokens: np.ndarray  # ids <int32>[tokens], cut to those that the network reads
    # What each token adds to the logit of the predicted label <float32>[tokens]; [0] if unknown.
    attributions: np.ndarray


class TestResults(NamedTuple):
    """The test of one checkpoint, review by review."""

    step: int  # of the checkpoint
    tested: str  # when, in UTC, as 2025-01-31T12:00:00+00:00
    devices: str  # that the test ran on, in words
    probabilities: np.ndarray  # <float32>[reviews, labels]
    labels: np.ndarray  # <int32>[reviews]
    lengths: np.ndarray  # <int32>[reviews], in tokens, before the cut to those that are read
    unknown: np.ndarray  # <int32>[reviews], how many of these tokens are not in the vocabulary
    mistakes: tuple[Mistake, ...]

    @property
    def predicted(self) -> np.ndarray:
        """Returns the label of the highest probability, <int64>[reviews]."""
        return self.probabilities.argmax(axis=1)

    @property
    def right(self) -> np.ndarray:
        """Returns which predictions are right, <bool>[reviews]."""
        return self.predicted == self.labels


def to_bytes(results: TestResults) -> bytes:
    """Returns the content of the file."""
    fields: dict[str, Any] = {"format": FORMAT, **results._asdict()}
    mistakes = fields.pop("mistakes")
    fields["mistakes"] = np.array([mistake.review for mistake in mistakes], np.int32)
    for name, dtype in (("tokens", np.int32), ("attributions", np.float32)):
        rows = [getattr(mistake, name) for mistake in mistakes]
        fields[f"{name}_sizes"] = np.array([len(row) for row in rows], np.int32)
        fields[name] = np.concatenate([np.zeros(0, dtype), *rows])
    content = io.BytesIO()
    np.savez_compressed(content, **fields)
    return content.getvalue()


def from_bytes(data: bytes, name: str) -> TestResults:
    """Parses the file; raises UserError, which calls it `name`, when it is damaged or too new."""
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as content:
            fields = {key: content[key] for key in content.files}
        written_in = int(fields.pop("format"))
        if written_in <= FORMAT:
            return _checked(_parsed(fields))
    except _DAMAGE as error:
        raise UserError(
            f"{name}: can't be read ({error}); delete it and give the training command, which "
            "tests again and writes it"
        ) from error
    raise UserError(
        f"{name}: has format {written_in}, this version reads up to {FORMAT}; use the newer "
        "longhaul that wrote it"
    )


def _parsed(fields: dict[str, np.ndarray]) -> TestResults:
    tokens = _rows(fields["tokens"].astype(np.int32), fields["tokens_sizes"])
    attributions = _rows(fields["attributions"].astype(np.float32), fields["attributions_sizes"])
    reviews = fields["mistakes"].astype(int).tolist()
    return TestResults(
        step=int(fields["step"]),
        tested=str(fields["tested"]),
        devices=str(fields["devices"]),
        probabilities=fields["probabilities"].astype(np.float32),
        labels=fields["labels"].astype(np.int32),
        lengths=fields["lengths"].astype(np.int32),
        unknown=fields["unknown"].astype(np.int32),
        mistakes=tuple(map(Mistake, reviews, tokens, attributions)),
    )


def _rows(flat: np.ndarray, sizes: np.ndarray) -> Sequence[np.ndarray]:
    if sizes.sum() != len(flat):
        raise ValueError("rows of another size")
    return np.split(flat, np.cumsum(sizes)[:-1]) if len(sizes) else []


def _checked(results: TestResults) -> TestResults:
    """Raises ValueError when the parts don't belong together."""
    shares, labels = results.probabilities, results.labels
    shapes = {shares.shape[:1], labels.shape, results.lengths.shape, results.unknown.shape}
    if shares.ndim != 2 or shapes != {(len(labels),)}:
        raise ValueError("arrays of different lengths")
    if len(labels) and not 0 <= labels.min() <= labels.max() < shares.shape[1]:
        raise ValueError("a label without a probability")
    if not all(0 <= mistake.review < len(labels) for mistake in results.mistakes):
        raise ValueError("a mistake in no review")
    if not all(len(m.attributions) in (0, len(m.tokens)) for m in results.mistakes):
        raise ValueError("attributions to other tokens")
    return results
