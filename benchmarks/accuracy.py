"""Makes the table of what each ingredient gives on validation reviews: a config with and without.

    python -m benchmarks.accuracy --folder=runs/ingredients
    python -m benchmarks.accuracy --folder=runs/ingredients --rows='base,no wide part' --seeds=0

Each row is a config with some fields changed, trained by `python -m trainer` once a seed. A fifth
of the training reviews validate. The test reviews stay unseen: in their place the trainer scores a
hundredth of the training reviews. Validation reviews share films with those trained on, so their
accuracy is about two points better than that of the test.

The workdirs stay in the folder. The same command again takes over what is finished and resumes what
is not; another config needs another folder.
"""

import statistics
from pathlib import Path
from typing import Any

from benchmarks.common import (
    arguments,
    check_end,
    machine,
    metrics,
    print_table,
    run,
    training,
    write_json,
)

# A term joins in the second epoch: from the first on, a network does not learn with it.
_SECOND_EPOCH = "objective.terms_after_epochs=1"
_UNLABELLED = (
    _SECOND_EPOCH,
    "data.unlabelled_split=unsupervised",
    "data.unlabelled_batch_size=64",
)
ROWS: dict[str, tuple[str, ...]] = {
    "base": (),
    "no wide part": ("model.wide_buckets=0",),
    "no punctuation": ("data.punctuation=False",),
    "dropout 0.3": ("model.dropout=0.3",),
    "word dropout": ("model.word_dropout=0.1",),
    "embedding dropout": ("model.embedding_dropout=0.1",),
    "recurrent dropout": ("model.recurrent_dropout=0.3",),
    "attention": ("model.pooling=attention",),
    "both directions": ("model.bidirectional=True",),
    "segments": ("model.segment_tokens=128", "model.segment_overlap=32"),
    "average": ("train.average_decay=0.99",),
    "adversarial": ("objective.terms.adversarial=1.0", _SECOND_EPOCH),
    "entropy": ("objective.terms.entropy=1.0", *_UNLABELLED),
    "virtual adversarial": ("objective.terms.virtual_adversarial=1.0", *_UNLABELLED),
}
# 5,000 reviews validate: 2,000, the default, leave a standard error of 0.7 points.
_HELD_OUT = ("data.validation_share=0.2", "data.test_split=train[:1%]")


def train(config: str, workdir: Path, overrides: tuple[str, ...]) -> None:
    """Trains to the end. Of a run that is there the trainer checks that its config is this one."""
    log = workdir.with_name(f"{workdir.name}.log")
    with training(config, workdir, log, *overrides, *_HELD_OUT) as process:
        check_end(process, log)


def result(workdir: Path) -> tuple[float, float]:
    """Returns the best validation accuracy of a run, and the seconds of its training."""
    lines = metrics(workdir)
    best = max(line["accuracy"] for line in lines if line["kind"] == "validation")
    # A start's seconds count from its own beginning.
    starts = {line["start"]: line["seconds"] for line in lines if "seconds" in line}
    return best, sum(starts.values())


def main() -> None:
    """Trains what is missing, prints the table and writes the results."""
    parser = arguments(__doc__)
    parser.add_argument("--folder", type=Path, required=True, help="of the workdirs")
    parser.add_argument("--config", default="configs/imdb.py")
    parser.add_argument("--rows", help=f"some of {','.join(ROWS)}; default all")
    parser.add_argument("--seeds", default="0,1,2")
    args = parser.parse_args()
    names = args.rows.split(",") if args.rows else list(ROWS)
    if unknown := [name for name in names if name not in ROWS]:
        parser.error(f"--rows: got {unknown[0]!r}, accepted are {', '.join(ROWS)}")
    args.folder.mkdir(parents=True, exist_ok=True)
    table: list[tuple[str, ...]] = [("", "validation", "range", "seconds")]
    results: list[dict[str, Any]] = []
    for name in names:
        found = []
        for seed in map(int, args.seeds.split(",")):
            workdir = args.folder / f"{name.replace(' ', '-')}-{seed}"
            train(args.config, workdir, (*ROWS[name], f"seed={seed}"))
            found.append(result(workdir))
            results.append({"row": name, "seed": seed, "accuracy": found[-1][0]})
        accuracies, seconds = zip(*found, strict=True)
        spread = f"{min(accuracies):.4f}-{max(accuracies):.4f}"
        mean = f"{statistics.mean(accuracies):.4f}"
        table.append((name, mean, spread, f"{statistics.median(seconds):.0f}"))
        print(f"{name}: {mean} ({spread})", flush=True)
    print(f"{machine()}; {args.config}, seeds {args.seeds}")
    print_table(table)
    write_json(args, "accuracy", results)


if __name__ == "__main__":
    run(main)
