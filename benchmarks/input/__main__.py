"""Measures what the input costs, alone and in training, and whether cost and memory stay level.

    python -m benchmarks.input

For each part of the training split of configs/imdb_lstm.py:

- the pipeline alone: an epoch's batches, looked up and padded without training on them, in a
  process of its own;
- a training by `python -m trainer`: tokens/s from the second epoch on, everything but validation
  and checkpoints included; the fraction of it that a step waited for its batch; and the most memory
  that the process had taken by the end of its second and its last epoch.

Small parts are trained on for more epochs, so that all do about as many steps. Needs Linux, whose
/proc says how much memory a process has taken. All folders are temporary.
"""

import re
import statistics
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.common import (
    arguments,
    machine,
    metrics,
    own_process,
    print_table,
    run,
    training,
    wait_until,
    write_json,
)

_FEWEST_EPOCHS = 3
# Causes of an epoch's time that count as training; see `trainer.run.clock`.
_CAUSES = ("training", "input wait", "other")


def peak_memory(pid: int) -> int:
    """Returns the most memory that a process has taken so far, in bytes."""
    status = Path(f"/proc/{pid}/status").read_text()
    found = re.search(r"^VmHWM:\s+(\d+) kB", status, re.MULTILINE)
    return int(found[1]) * 1024 if found else 0


def train(folder: Path, epochs: int, *overrides: str) -> list[dict[str, Any]]:
    """Trains and returns, for each epoch, its line of metrics with `peak_memory`."""
    log, workdir = folder / "log", folder / "run"

    def lines(known: int) -> list[dict[str, Any]]:
        return [line for line in metrics(workdir) if line["kind"] == "epoch"][known:]

    found: list[dict[str, Any]] = []
    overrides += (f"train.epochs={epochs}",)
    with training("configs/imdb_lstm.py", workdir, log, *overrides) as process:
        while len(found) < epochs:
            wait_until(process, log, partial(lines, len(found)))
            memory = peak_memory(process.pid)
            found += [{**line, "peak_memory": memory} for line in lines(len(found))]
    return found


def seconds_by_cause(line: dict[str, Any]) -> dict[str, float]:
    """Returns the seconds since the start of the trainer that it spent on each cause."""
    return {cause: fraction * line["seconds"] for cause, fraction in line["time"].items()}


def measure(source: str, split: str, steps: int, folder: Path) -> dict[str, Any]:
    """Measures the pipeline and a training of one part of the training split."""
    cache = str(folder.parent / "cache")
    with own_process("benchmarks.input.pipeline") as call:
        alone = call("read_epochs", source, split, cache, _FEWEST_EPOCHS)
    batches, tokens = alone[0]["batches"], alone[0]["tokens"]
    epochs = max(_FEWEST_EPOCHS, -(-steps // batches))
    data = (f"data.source={source}", f"data.train_split={split}", f"data.cache_dir={cache}")
    folder.mkdir()
    lines = train(folder, epochs, *data)
    # The first epoch has the step that is compiled.
    begin, end = seconds_by_cause(lines[0]), seconds_by_cause(lines[-1])
    spent = {cause: end.get(cause, 0.0) - begin.get(cause, 0.0) for cause in _CAUSES}
    seconds = statistics.median(epoch["seconds"] for epoch in alone[1:])
    return {
        "split": split,
        "batches": batches,
        "padding": 1 - tokens / alone[0]["slots"],
        "pipeline_batches_per_second": batches / seconds,
        "pipeline_tokens_per_second": tokens / seconds,
        "epochs": epochs,
        "tokens_per_second": (epochs - 1) * tokens / sum(spent.values()),
        "input_wait": spent["input wait"] / sum(spent.values()),
        "peak_memory": [line["peak_memory"] for line in lines],
    }


def table(found: list[dict[str, Any]]) -> list[tuple[str, ...]]:
    """Returns the rows of the table. The cost of a token is relative to the last part's."""
    headings = ("batches", "padding", "pipeline alone", "", "epochs", "training", "cost of a token")
    rows: list[tuple[str, ...]] = [("", *headings, "input wait", "memory, epoch 2", "last")]
    last = found[-1]["tokens_per_second"]
    for row in found:
        memory = [f"{row['peak_memory'][epoch] / 2**20:,.0f} MiB" for epoch in (1, -1)]
        rows.append(
            (
                row["split"],
                f"{row['batches']:,}",
                f"{row['padding']:.1%}",
                f"{row['pipeline_batches_per_second']:,.0f} batches/s",
                f"{row['pipeline_tokens_per_second']:,.0f} tokens/s",
                f"{row['epochs']}",
                f"{row['tokens_per_second']:,.0f} tokens/s",
                f"{last / row['tokens_per_second']:.2f}",
                f"{row['input_wait']:.2%}",
                *memory,
            )
        )
    return rows


def main() -> None:
    """Measures, prints the table and writes the results."""
    parser = arguments(__doc__)
    parser.add_argument("--data_source", default="tfds:imdb_reviews", help="as config.data.source")
    parser.add_argument(
        "--splits",
        default="train[:1000],train[:5000],train",
        help="as config.data.train_split, with commas between",
    )
    parser.add_argument("--steps", type=int, default=600, help="of each training, at least")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="longhaul-") as name:
        found = [
            measure(args.data_source, split, args.steps, Path(name, str(number)))
            for number, split in enumerate(args.splits.split(","))
        ]
    print(f"{machine()}; {args.data_source}, batches of configs/imdb_lstm.py")
    print_table(table(found))
    write_json(args, "input", found)


if __name__ == "__main__":
    run(main)
