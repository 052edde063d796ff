"""Tests of `benchmarks.linear_baseline` against plain Python."""

import json
import math

import numpy as np
import pytest
import scipy.sparse

from benchmarks import linear_baseline
from benchmarks.common import run
from benchmarks.linear_baseline import Reviews
from input_pipeline.tokenized import Tokenized

TEXTS = ["a fine film", "", "film", "not a fine film a fine film", "fine unseen film a"]
NUMBERS = {"a": 1, "film": 2, "fine": 3, "not": 4}  # "unseen" has none


def tokenized(texts):
    split = [text.split() for text in texts]
    tokens = sorted({token for row in split for token in row})
    numbers = [tokens.index(token) for row in split for token in row]
    lengths = [len(row) for row in split]
    zeros = np.zeros(len(texts), np.int32)
    return Tokenized(tokens, ["?"], np.int32(numbers), np.int64(lengths), zeros)


def grams_of(text):
    """Returns the words, pairs and triples of known tokens of a text, repetitions included."""
    tokens = text.split()
    places = [(n, start) for n in (1, 2, 3) for start in range(len(tokens) - n + 1)]
    grams = [tuple(tokens[start : start + n]) for n, start in places]
    return sorted(gram for gram in grams if set(gram) <= NUMBERS.keys())


def key_of(gram):
    return sum(NUMBERS[token] * 5**place for place, token in enumerate(reversed(gram)))


@pytest.mark.parametrize("texts", [TEXTS, ["film"], ["", "a film"], [""]])
def test_n_grams_are_those_of_each_review_alone(texts):
    rows, keys = linear_baseline.n_grams(tokenized(texts), NUMBERS)
    found = [sorted(keys[rows == review].tolist()) for review in range(len(texts))]
    assert found == [sorted(map(key_of, grams_of(text))) for text in texts]


def test_occurrences_are_1_whatever_their_number_and_unknown_n_grams_are_left_out():
    rows, keys = linear_baseline.n_grams(tokenized(TEXTS), NUMBERS)
    columns = np.unique(keys)[::2]
    matrix = linear_baseline.occurrences(rows, keys, columns, len(TEXTS))
    expected = [[key in map(key_of, grams_of(text)) for key in columns] for text in TEXTS]
    assert matrix.toarray().tolist() == np.float32(expected).tolist()


def test_ratios_are_those_of_reviews_with_an_n_gram():
    grams = scipy.sparse.csr_matrix(np.float32([[1, 0, 1], [1, 1, 0], [1, 0, 0]]))
    ratios = linear_baseline.log_ratios(Reviews(grams, np.array([True, False, True])))
    positive, negative = (2, 0, 1), (1, 1, 0)
    expected = [
        math.log(((p + 1) / (sum(positive) + 3)) / ((q + 1) / (sum(negative) + 3)))
        for p, q in zip(positive, negative, strict=True)
    ]
    assert ratios.toarray() == pytest.approx(np.diag(expected), abs=1e-6)


def test_n_gram_that_decides_is_learned():
    generator = np.random.default_rng(0)
    labels = generator.random(60) < 0.5
    noise = generator.random((60, 20)) < 0.3
    grams = scipy.sparse.csr_matrix(np.column_stack([labels, noise]).astype(np.float32))
    train, test = (Reviews(grams[part], labels[part]) for part in (slice(40), slice(40, 60)))
    assert linear_baseline.accuracy(train, test, 1.0) == 1.0
    assert linear_baseline.accuracy(train, Reviews(test.grams, ~test.labels), 1.0) == 0.0


def test_table_has_a_row_for_each_strength_and_one_for_the_test(tmp_path, monkeypatch, capsys):
    """The label is in the pairs of words, not in the words."""
    rows = [("not good", 0), ("good, not bad", 1), ("bad, not good", 0), ("not bad", 1)]
    content = "".join(json.dumps({"text": text, "label": label}) + "\n" for text, label in rows)
    for split in ("train", "test"):
        (tmp_path / f"{split}.jsonl").write_text(content * 20)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))  # where tokens are cached
    path = tmp_path / "home" / "results.json"
    path.parent.mkdir()
    flags = [f"--data_source=files:{tmp_path}", f"--json={path}"]
    monkeypatch.setattr("sys.argv", ["linear_baseline", *flags])
    linear_baseline.main()
    written = json.loads(path.read_text())
    *chosen, tested = written["results"]
    assert written["benchmark"] == "linear_baseline"
    best = max(chosen, key=lambda row: row["validation"])
    assert (len(chosen), tested["C"], tested["test"]) == (5, best["C"], 1.0)
    facts, head, *rows = (line.split() for line in capsys.readouterr().out.splitlines())
    assert facts[-3] == "n-grams,"
    assert head == ["C", "validation", "test"]
    assert rows[:5] == [[f"{row['C']:g}", f"{row['validation']:.4f}"] for row in chosen]
    assert rows[5:] == [[f"{best['C']:g},", "all", "reviews", "1.0000"]]


def test_unreadable_source_ends_with_one_line(tmp_path, monkeypatch):
    source = f"files:{tmp_path / 'none'}"
    monkeypatch.setattr("sys.argv", ["linear_baseline", f"--data_source={source}"])
    with pytest.raises(SystemExit, match=r"^error: config\.data\.source: .*none.*$"):
        run(linear_baseline.main)
