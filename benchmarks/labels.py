"""Compares longhaul with a logistic regression on reviews of two and of five labels.

    python -m benchmarks.labels

The reviews are generated: one sentence says what the writer thinks of the film, another what of
the book that it was made from, in either order. Only the film decides the label: with five labels
the stars from 1 to 5, with two whether it is recommended. The regression (scikit-learn) counts
words and pairs of words. Each label has the same number of reviews.
"""

import argparse
import csv
import random
import tempfile
from collections.abc import Sequence
from pathlib import Path

from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression

from benchmarks.common import check_end, machine, metrics, print_table, run, training

_GOOD = ("wonderful", "gripping", "brilliant", "moving", "funny", "charming", "superb", "clever")
_BAD = ("dreadful", "boring", "stupid", "lifeless", "clumsy", "dull", "awful", "silly")
# What is said for each number of stars; {good} and {bad} stand for an adjective.
_OPINIONS = (
    ("utterly {bad}", "{bad} from beginning to end", "nothing but {bad}"),
    ("rather {bad}", "a little {bad}", "{bad} in places"),
    ("{good} and {bad} by turns", "neither {good} nor {bad}", "half {good}, half {bad}"),
    ("rather {good}", "a little {good}", "{good} in places"),
    ("utterly {good}", "{good} from beginning to end", "nothing but {good}"),
)
_LABELS = {2: ("no", "no", None, "yes", "yes"), 5: ("1", "2", "3", "4", "5")}
_TRAIN, _TEST = 4000, 1000  # reviews


def reviews(count: int, labels: int, seed: int) -> list[tuple[str, str]]:
    """Returns `count` pairs (text, label), in random order; `labels` is 2 or 5."""
    generator = random.Random(seed)
    stars = [star for star in range(5) if _LABELS[labels][star]]
    pairs = []
    for number in range(count):
        star = stars[number % len(stars)]
        book = _sentence("book", generator.randrange(5), generator)
        sentences = [_sentence("film", star, generator)]
        sentences.insert(generator.randrange(2), book)
        pairs.append((" ".join(sentences), str(_LABELS[labels][star])))
    generator.shuffle(pairs)
    return pairs


def _sentence(subject: str, star: int, generator: random.Random) -> str:
    opinion = generator.choice(_OPINIONS[star])
    words = {"good": generator.choice(_GOOD), "bad": generator.choice(_BAD)}
    return f"The {subject}, I must say, was {opinion.format(**words)}."


def longhaul(folder: Path, labels: int) -> float:
    """Trains on the files in a folder by the command line; returns the test accuracy."""
    workdir = folder / "run"
    log = folder / "log"
    overrides = [f"data.source=files:{folder}", "data.cache_dir="]
    if labels == 2:
        overrides.append("data.positive_label=yes")
    with training("configs/sample.py", workdir, log, *overrides) as process:
        process.wait()
        check_end(process, log)
    return metrics(workdir)[-1]["accuracy"]


def regression(train: Sequence[tuple[str, str]], test: Sequence[tuple[str, str]]) -> float:
    """Returns the test accuracy of a logistic regression on words and pairs of words."""
    counts = CountVectorizer(ngram_range=(1, 2))
    texts, names = zip(*train, strict=True)
    model = LogisticRegression(max_iter=1000).fit(counts.fit_transform(texts), names)
    texts, names = zip(*test, strict=True)
    return float(model.score(counts.transform(texts), names))


def compare(labels: int) -> tuple[float, float]:
    """Returns the test accuracies of longhaul and of the regression."""
    train, test = reviews(_TRAIN, labels, seed=1), reviews(_TEST, labels, seed=2)
    with tempfile.TemporaryDirectory() as name:
        for split, pairs in (("train", train), ("test", test)):
            with Path(name, f"{split}.csv").open("w", newline="") as file:
                csv.writer(file).writerows([("text", "label"), *pairs])
        return longhaul(Path(name), labels), regression(train, test)


def main() -> None:
    """Runs everything and prints the table."""
    argparse.ArgumentParser(description=__doc__.partition("\n")[0]).parse_args()
    print(machine())
    rows = [
        [str(labels), *(f"{accuracy:.3f}" for accuracy in compare(labels))] for labels in _LABELS
    ]
    print_table([["labels", "longhaul", "logistic regression"], *rows])


if __name__ == "__main__":
    run(main)
