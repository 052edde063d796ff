"""Kills one run again and again, and compares what comes of it with a run left alone.

    python -m benchmarks.kills --kills=20

SIGKILL comes when metrics.jsonl first shows a step at or behind a random one, after a random pause
that lets it hit saving and validating as well as training; the same command then starts the run
again. In the end the last checkpoint must hold the same bits in every variable, and metrics.jsonl
the same lines, each once, with the same values but for those that tell the time. Exit code 1 when
anything differs.
"""

import argparse
import collections
import json
import random
import sys
import tempfile
import time
from pathlib import Path

import tensorflow as tf

from benchmarks.common import metrics, tail, training, wait_until

_CONFIG = "configs/sample.py"
_SEED = 0
_LONGEST_PAUSE = 0.3  # seconds, a few calls of several steps each
_TIMES = ("reviews_per_second", "tokens_per_second", "goodput", "time")
_OBJECT_GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"


def targets(kills: int, last_step: int, generator: random.Random) -> list[int]:
    """A random step from each of so many equal parts of the run, in order."""
    part = last_step / kills
    return [int(part * (number + generator.random())) for number in range(kills)]


def newest_checkpoint(workdir: Path) -> tuple[int, dict]:
    """Step and manifest of the newest checkpoint, (0, {}) before there is one."""
    manifests = (workdir / "checkpoints").glob("*/manifest.json")
    step, path = max(((int(path.parent.name), path) for path in manifests), default=(0, None))
    return step, json.loads(path.read_text()) if path else {}


def variables(workdir: Path) -> dict[str, bytes]:
    """The bytes of each variable of the newest checkpoint, by name."""
    _, manifest = newest_checkpoint(workdir)
    index = next(file["name"] for file in manifest["files"] if file["name"].endswith(".index"))
    reader = tf.train.load_checkpoint(str(workdir / index.removesuffix(".index")))
    names = reader.get_variable_to_shape_map().keys() - {_OBJECT_GRAPH}
    return {name: reader.get_tensor(name).tobytes() for name in names}


def lines_by_key(workdir: Path) -> tuple[dict[tuple[str, int], dict], list[tuple[str, int]]]:
    """Lines of metrics.jsonl by (kind, step), without times; and the keys met more than once."""
    lines = metrics(workdir)
    counts = collections.Counter((line["kind"], line["step"]) for line in lines)
    values = {
        (line["kind"], line["step"]): {k: v for k, v in line.items() if k not in _TIMES}
        for line in lines
    }
    return values, sorted(key for key, count in counts.items() if count > 1)


def differences(alone: Path, killed: Path) -> list[str]:
    """What differs between two finished runs, a line each; prints what was compared."""
    found = []
    steps = [newest_checkpoint(workdir)[0] for workdir in (alone, killed)]
    if steps[0] != steps[1]:
        found.append(f"last checkpoint: step {steps[0]} alone, {steps[1]} killed")
    expected, got = variables(alone), variables(killed)
    for name in sorted(expected.keys() | got.keys()):
        if expected.get(name) != got.get(name):
            found.append(f"variable {name}: other bits, or in one of the two only")
    expected_lines, _ = lines_by_key(alone)
    got_lines, twice = lines_by_key(killed)
    found += [f"line {key}: more than once" for key in twice]
    for key in sorted(expected_lines.keys() | got_lines.keys()):
        if expected_lines.get(key) != got_lines.get(key):
            found.append(f"line {key}: {expected_lines.get(key)} alone, {got_lines.get(key)}")
    print(f"compared {len(expected)} variables of step {steps[0]}, {len(expected_lines)} lines")
    return found


def finish(workdir: Path, log: Path, overrides: list[str]) -> None:
    """Runs to the end."""
    with training(_CONFIG, workdir, log, *overrides) as process:
        if process.wait():
            sys.exit(f"error: the trainer ended with code {process.returncode}:\n{tail(log)}")


def kill_at(workdir: Path, log: Path, overrides: list[str], target: int, pause: float) -> int:
    """Starts the run, kills it when it has passed `target`; returns the step it was seen at."""
    with training(_CONFIG, workdir, log, *overrides) as process:
        wait_until(process, log, lambda: last_step(workdir) >= target)
        time.sleep(pause)
        process.kill()
        process.wait()
    return last_step(workdir)


def last_step(workdir: Path) -> int:
    """The last step that metrics.jsonl shows, 0 before the first."""
    return max((line["step"] for line in metrics(workdir)), default=0)


def main() -> None:
    """Runs once alone and once with kills; exit code 1 when the two differ."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kills", type=int, default=20)
    args = parser.parse_args()
    generator = random.Random(_SEED)
    with tempfile.TemporaryDirectory(prefix="longhaul-") as name:
        alone, killed, log = (Path(name, part) for part in ("alone", "killed", "log"))
        overrides = [
            "train.log_every_steps=1",
            "checkpoint.every_steps=20",
            f"data.cache_dir={Path(name, 'cache')}",
        ]
        finish(alone, log, overrides)
        total = last_step(alone)
        print(f"{_CONFIG}: {total} steps alone", flush=True)
        reached = 0
        for number, target in enumerate(targets(args.kills, total, generator), 1):
            # What the last start wrote, before this one cuts it back, must not trigger a kill.
            target = max(target, reached + 1)
            pause = generator.uniform(0.0, _LONGEST_PAUSE)
            reached = kill_at(killed, log, overrides, target, pause)
            resumes, _ = newest_checkpoint(killed)
            print(f"kill {number}: for step {target}, seen at {reached}; resumes at {resumes}")
            sys.stdout.flush()
        finish(killed, log, overrides)
        found = differences(alone, killed)
    for difference in found:
        print(difference)
    print(f"{args.kills} kills: " + (f"{len(found)} differences" if found else "no difference"))
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
