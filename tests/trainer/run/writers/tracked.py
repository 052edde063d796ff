"""A start of a run in a process of its own: python -m ... SERVICE WORKDIR stop|resume.

A service's client keeps its settings for the life of a process.
"""

import subprocess
import sys
from pathlib import Path

from configs import default
from storage import claims
from storage.store import open_store
from trainer.run.writers import several

ROOT = Path(__file__).parents[4]


def run_starts(service, workdir, *starts, **variables):
    """Runs a start that stops, `resume`s or both, with further environment variables.

    Returns what each wrote to standard error; nothing may be on standard output.
    """
    errors = []
    for start in starts:
        command = ["env", *(f"{name}={value}" for name, value in variables.items())]
        command += [sys.executable, "-m", "tests.trainer.run.writers.tracked"]
        command += [service, str(workdir), start]
        done = subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120
        )
        assert (done.returncode, done.stdout) == (0, ""), done.stderr
        errors.append(done.stderr)
    return errors


def stop(writers):
    """Writes a line that a checkpoint has, and one that none has."""
    writers.write("train", 10, {"loss": 0.5})
    writers.write("train", 20, {"loss": 0.25})
    writers.close(seconds=30, finished=False)


def resume(writers):
    """Writes the lines after the checkpoint."""
    writers.write("train", 20, {"loss": 0.25})
    writers.write("validation", 20, {"loss": 0.75, "accuracy": 0.875, "auc": None})
    writers.write("test", 20, {"accuracy": 0.8125})
    writers.close(seconds=30)


def main(service, workdir, start):
    config = default.get_config()
    config.train.writers = service
    config.train.epochs = 10 if start == "stop" else 20
    lines = b"" if start == "stop" else b'{"kind": "train", "step": 10, "loss": 0.5}\n'
    store = open_store(workdir)
    {"stop": stop, "resume": resume}[start](
        several.open_writers(config, store, claims.take(store), lines)
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
