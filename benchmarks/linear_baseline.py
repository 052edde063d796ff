"""Tests a linear model of n-grams on the tokens of configs/imdb.py: what an LSTM has to beat.

    python -m benchmarks.linear_baseline

The model is a logistic regression (scikit-learn) on which words, pairs and triples of words occur
in a whole review, each scaled by how much more often it occurs with one label than with the other:
the NBSVM of Wang and Manning 2012 (https://aclanthology.org/P12-2018), with a logistic loss as in
Mesnil et al. 2014 (arXiv:1412.5335).

How strongly it is regularised is chosen on the validation reviews. Then it is trained on all
reviews of the training split, and tested once.
"""

import time
from typing import NamedTuple

import ml_collections
import numpy as np
import scipy.sparse
from sklearn.linear_model import LogisticRegression

from benchmarks.common import arguments, machine, print_table, run, write_json
from configs import imdb
from input_pipeline import load, text
from input_pipeline.batch_plan import held_out
from input_pipeline.tokenized import Tokenized, tokenize_split
from trainer.learning import naive_bayes

_LONGEST = 3  # tokens of an n-gram
_INVERSE_STRENGTHS = (0.03, 0.1, 0.3, 1.0, 3.0)  # scikit-learn's C


class Reviews(NamedTuple):
    """Reviews of two labels as sets of n-grams."""

    grams: scipy.sparse.csr_matrix  # <float32>[reviews, n-grams of the training split], 0 or 1
    labels: np.ndarray  # <bool>[reviews]


def n_grams(split: Tokenized, numbers: dict[str, int]) -> tuple[np.ndarray, np.ndarray]:
    """Returns rows and keys <int64>[n-grams] of what occurs in each review, repetitions included.

    `numbers` are those of the tokens, from 1. A key is the number whose digits they are. N-grams
    with a token that has none are left out.
    """
    base = len(numbers) + 1
    of_token = np.array([numbers.get(token, 0) for token in split.tokens], np.int64)
    tokens = of_token[split.numbers]
    rows = np.repeat(np.arange(len(split)), split.lengths)
    keys, known = np.zeros_like(tokens), np.ones(len(tokens), bool)
    found = []
    for length in range(1, _LONGEST + 1):
        count = len(tokens) - length + 1
        following = tokens[length - 1 :]
        keys = keys[:count] * base + following
        known = known[:count] & (following > 0) & (rows[:count] == rows[length - 1 :])
        found.append((rows[:count][known], keys[known]))
    all_rows, all_keys = map(np.concatenate, zip(*found, strict=True))
    return all_rows, all_keys


def occurrences(
    rows: np.ndarray, keys: np.ndarray, columns: np.ndarray, reviews: int
) -> scipy.sparse.csr_matrix:
    """Returns which of the n-grams `columns`, sorted, each review has, as in `Reviews`."""
    places = np.minimum(np.searchsorted(columns, keys), len(columns) - 1)
    is_known = columns[places] == keys
    ones = np.ones(int(is_known.sum()), np.float32)
    matrix = scipy.sparse.csr_matrix(
        (ones, (rows[is_known], places[is_known])), shape=(reviews, len(columns))
    )
    matrix.data[:] = 1.0  # where an n-gram occurs several times they were added up
    return matrix


def read(data: ml_collections.ConfigDict) -> tuple[Reviews, Reviews]:
    """Returns the reviews of the training split and of the test split of a `data` config."""
    source = load.open_reviews(data).texts()
    splits = [
        tokenize_split(source, split, text.rules_of(data.punctuation), data.cache_dir)
        for split in (data.train_split, data.test_split)
    ]
    numbers = {token: number for number, token in enumerate(splits[0].tokens, 1)}
    grams = [n_grams(split, numbers) for split in splits]
    columns = np.unique(grams[0][1])
    positive = splits[0].labels[-1]
    train, test = (
        Reviews(
            occurrences(rows, keys, columns, len(split)),
            np.array([label == positive for label in split.labels])[split.label_numbers],
        )
        for split, (rows, keys) in zip(splits, grams, strict=True)
    )
    return train, test


def log_ratios(train: Reviews) -> scipy.sparse.dia_matrix:
    """Returns the diagonal matrix of each n-gram's ratio for the positive label."""
    sides = (train.grams[~train.labels], train.grams[train.labels])
    counts = np.stack([np.asarray(side.sum(axis=0))[0] for side in sides]).astype(np.int64)
    return scipy.sparse.diags(naive_bayes.log_ratios(counts)[1].astype(np.float32))


def accuracy(train: Reviews, test: Reviews, inverse_strength: float) -> float:
    """Trains a model and returns its accuracy on other reviews."""
    ratios = log_ratios(train)
    model = LogisticRegression(C=inverse_strength, solver="liblinear", dual=True, random_state=0)
    model.fit(train.grams @ ratios, train.labels)
    return float(model.score(test.grams @ ratios, test.labels))


def main() -> None:
    """Chooses the regularisation, tests, prints the table and writes the results."""
    parser = arguments(__doc__)
    parser.add_argument("--data_source", default="tfds:imdb_reviews", help="as config.data.source")
    args = parser.parse_args()
    started = time.monotonic()
    data = imdb.get_config().data
    data.source = args.data_source
    train, test = read(data)
    held = held_out(len(train.labels), data.validation_share)
    kept, validation = (Reviews(*(part[rows] for part in train)) for rows in (~held, held))
    found = {strength: accuracy(kept, validation, strength) for strength in _INVERSE_STRENGTHS}
    best = max(found, key=lambda strength: found[strength])
    tested = accuracy(train, test, best)
    seconds = time.monotonic() - started
    print(f"{machine()}; {train.grams.shape[1]:,} n-grams, {seconds:.0f} s")
    rows = [(f"{strength:g}", f"{value:.4f}", "") for strength, value in found.items()]
    rows.append((f"{best:g}, all reviews", "", f"{tested:.4f}"))
    print_table([("C", "validation", "test"), *rows])
    results = [{"C": strength, "validation": value} for strength, value in found.items()]
    results.append({"C": best, "test": tested, "seconds": seconds})
    write_json(args, "linear_baseline", results)


if __name__ == "__main__":
    run(main)
