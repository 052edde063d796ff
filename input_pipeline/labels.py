"""The labels of reviews: their names, and the number that stands for each.

    labels = choose({"neg": 1500, "pos": 1500}, positive="")
    labels.names                            # ("negative", "positive")
    labels.numbers(["pos", "neg"], "test")  # <int32>[1, 0]
    store.write(LABELS_FILE, labels.to_bytes())

A label's number depends on the names alone, never on the order in which a data set has them. The
file has one name a line; a line's number, from 0, is the label's.
"""

import collections
import dataclasses
import math
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from storage.errors import UserError
from storage.store import Store

LABELS_FILE = "labels.txt"
NO_LABEL = -1  # the number of a review without a label
_NEGATIVE, _POSITIVE = "negative", "positive"
_SPELLINGS = dict.fromkeys(("positive", "pos", "1"), _POSITIVE) | dict.fromkeys(
    ("negative", "neg", "0"), _NEGATIVE
)
_INVISIBLE = dict.fromkeys(map(ord, "\u200b\u200e\u200f\u2060\ufeff"))  # of no width
_MOST = 256  # labels; shards keep a number in a byte


@dataclasses.dataclass(frozen=True)
class Labels:
    """Two or more names, in the order of their numbers; of two the second is the positive one."""

    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.names)

    def __str__(self) -> str:
        listed = ", ".join(f"{name!r} is {number}" for number, name in enumerate(self.names))
        return f"{listed} (the positive one)" if len(self) == 2 else listed

    def number_of(self, name: str) -> int | None:
        """Returns the number of a label as a data set spells it, or None for another name."""
        name = _cleaned(name)
        if name not in self.names:
            name = _SPELLINGS.get(name.lower(), name)
        return self.names.index(name) if name in self.names else None

    def numbers(self, names: Sequence[str], split: str) -> np.ndarray:
        """Returns the numbers <int32>[n] of labels in a split; UserError for an unknown one."""
        numbers = {name: self.number_of(name) for name in set(names)}
        for name, number in numbers.items():
            if number is None:
                raise UserError(
                    f"config.data.source: a review of the split {split!r} has the label {name!r}, "
                    f"accepted are the labels of the training reviews: {_listed(self.names)}; "
                    "correct or remove the review"
                )
        return np.array([numbers[name] for name in names], np.int32)

    def require_positive(self, positive: str, owner: str) -> None:
        """Raises UserError when `data.positive_label` asks for another one than `owner` has."""
        if positive and (len(self) > 2 or self.number_of(positive) != 1):
            raise UserError(
                f"config.data.positive_label: got {positive!r}, but the labels of {owner} are "
                f"fixed: {self}; accepted is ''"
            )

    def to_bytes(self) -> bytes:
        """Returns the content of the file of labels."""
        return "".join(name + "\n" for name in self.names).encode()


SENTIMENTS = Labels((_NEGATIVE, _POSITIVE))


def choose(counts: Mapping[str, int], positive: str) -> Labels:
    """Returns the labels of training reviews, given how many reviews have each name.

    Args:
        counts: reviews by the name of their label, as the data set spells it.
        positive: `data.positive_label`, see configs/default.py.

    Spellings of 'negative' and 'positive' become these two names, but 0 and 1 beside other numbers
    stay numbers. Names are ordered as numbers if all are numbers, otherwise alphabetically. Raises
    UserError when there are fewer than two labels or too many, when one looks like a typing error,
    or when `positive` doesn't fit.
    """
    cleaned = {_cleaned(name) for name in counts}
    are_numbers = all(map(_is_number, cleaned)) and not cleaned <= {"0", "1"}
    merged: collections.Counter[str] = collections.Counter()
    for spelled, count in counts.items():
        name = _cleaned(spelled)
        merged[name if are_numbers else _SPELLINGS.get(name.lower(), name)] += count
    if len(merged) > _MOST:
        raise UserError(
            f"config.data.label_column: the reviews have more than {_MOST} different labels, such "
            f"as {_listed(list(merged)[:3])}; name the column of the labels"
        )
    _check_typing_errors(merged)
    names = sorted(merged, key=float if are_numbers else None)
    if len(names) < 2:
        raise UserError(
            f"config.data.source: all training reviews have the label {_listed(names)}; at least "
            "two labels are needed"
        )
    return Labels(tuple(_positive_last(names, positive)))


def from_bytes(data: bytes, name: str) -> Labels:
    """Parses a file of labels; UserError, which calls it `name`, when it isn't one."""
    try:
        names = tuple(data.decode().split("\n"))
    except UnicodeDecodeError as error:
        raise UserError(f"{name}: not UTF-8 at byte {error.start}; bring back the file") from error
    if len(names) < 3 or names[-1] != "" or len(set(names)) != len(names):
        raise UserError(
            f"{name}: not a list of labels, which has two lines or more, a name on each, none "
            "twice; bring back the file"
        )
    return Labels(names[:-1])


def read_labels(store: Store) -> Labels:
    """Reads the file of a store; UserError when it is damaged.

    Without it the store is of a version that knew positive and negative only.
    """
    if not store.exists(LABELS_FILE):
        return SENTIMENTS
    return from_bytes(store.read(LABELS_FILE), f"{store.url}/{LABELS_FILE}")


def require_all(numbers: np.ndarray, labels: Labels, split: str) -> None:
    """Raises UserError when a label has no review among the labels <int>[n] to train on."""
    missing = np.setdiff1d(np.arange(len(labels)), numbers)
    if missing.size:
        raise UserError(
            f"config.data.source: none of the reviews of {split!r} to train on has the label "
            f"{labels.names[missing[0]]!r}; every label needs some beside those for validation"
        )


def _positive_last(names: list[str], positive: str) -> list[str]:
    """Returns two names with the positive one last; other numbers of names stay as they are."""
    if len(names) > 2:
        if positive:
            raise UserError(
                f"config.data.positive_label: got {positive!r}, but there are {len(names)} labels; "
                "accepted is '', since only of two labels one is the positive one"
            )
        return names
    if not positive:
        if tuple(names) == SENTIMENTS.names:
            return names
        raise UserError(
            f"config.data.positive_label: got '', accepted is one of {_listed(names)}; give the "
            "one whose probability is to be predicted"
        )
    place = Labels(tuple(names)).number_of(positive)
    if place is None:
        raise UserError(
            f"config.data.positive_label: got {positive!r}, accepted is one of {_listed(names)}"
        )
    return names if place == 1 else names[::-1]


def _check_typing_errors(counts: Mapping[str, int]) -> None:
    for name, count in counts.items():
        if count == 1 and name not in SENTIMENTS.names:
            raise UserError(
                f"config.data.source: the label {name!r} has one training review of "
                f"{sum(counts.values()):,}; correct it, or give the label at least two"
            )


def _cleaned(name: str) -> str:
    """Returns a name composed (NFC), without characters that can't be seen, and 1 for 1.0."""
    name = unicodedata.normalize("NFC", name.translate(_INVISIBLE)).strip()
    # pandas writes a column of whole numbers like this once a cell was empty.
    return re.sub(r"^(-?\d+)\.0+$", r"\1", name)


def _is_number(name: str) -> bool:
    try:
        return math.isfinite(float(name))
    except ValueError:
        return False


def _listed(names: Iterable[str]) -> str:
    return ", ".join(map(repr, names))
