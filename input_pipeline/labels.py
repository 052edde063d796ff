"""The labels of reviews: their names, their numbers, and what files may call them.

NAMES[1]                              # "positive"
number_of("pos")                      # 1
check_numbers(np.array([0, 1]), "imdb_reviews")
"""

import numpy as np

from storage.errors import UserError

NAMES = ("negative", "positive")  # the number of a label is its place here
SPELLINGS = {"1": 1, "pos": 1, "positive": 1, "0": 0, "neg": 0, "negative": 0}


def number_of(label: object) -> int | None:
    """Returns the number of a label as files give it, or None for an unknown one."""
    return SPELLINGS.get(str(label).strip().lower())


def check_numbers(labels: np.ndarray, data_set: str) -> np.ndarray:
    """Returns labels <int>[n] as <int32>[n].

    Raises UserError, which names the data set, when one is not the number of a label.
    """
    unknown = labels[~np.isin(labels, (0, 1))]
    if unknown.size:
        raise UserError(
            f"config.data.source: {data_set} has the label {unknown[0]}, accepted: 0 and 1"
        )
    return labels.astype(np.int32)


def check_both_used(labels: np.ndarray, split: str) -> None:
    """Raises UserError when all reviews of a training split have one of the labels <int>[n]."""
    used = np.unique(labels)
    if len(used) == 1:
        raise UserError(
            f"config.data.source: all reviews of the split {split!r} have the label {used[0]}; "
            "both 0 and 1 are needed"
        )
