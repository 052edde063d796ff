"""Stands for a run of the trainer, without TensorFlow: leaves a run's metrics and checkpoints.

    python -m tests.trainer.sweep.fake_run WORKDIR SCORES [END [OTHER]]

It "trains" an epoch a score, such as 0.6,0.7, and resumes after those that it finds. END is what
then happens: nothing; `fail`, `crash` or `wait` for SIGTERM, which it answers as a run does;
`leave`, which sends itself SIGTERM; or `stop`, which sends it to the process that has started it,
once the trial OTHER has begun too.
"""

import json
import os
import signal
import sys
import time

from storage.store import open_store
from trainer.run.manifest import Manifest, encode

STEPS = 10  # of an epoch


def leave(number, frame):
    print("Stopped; the same command resumes.", flush=True)
    sys.exit(75)


def main(url, scores, end="", other=""):
    store = open_store(url)
    start = len(store.list("claims/")) + 1
    store.create(f"claims/{start}", str(start).encode())
    try:
        lines = store.read("metrics.jsonl").decode().splitlines()
    except FileNotFoundError:
        lines = []
    for epoch, score in enumerate(map(float, scores.split(",")), start=1):
        if epoch <= len(lines):
            continue
        step, metrics = epoch * STEPS, {"accuracy": score, "loss": 1 - score}
        fields = {"kind": "validation", "step": step, "start": start, "seconds": 60 * epoch}
        lines.append(json.dumps({**fields, **metrics}))
        store.write("metrics.jsonl", ("\n".join(lines) + "\n").encode())
        files = ({"name": "data", "size": 1, "crc32c": 0},)
        manifest = Manifest(step, "", "", ("a", "b"), "", metrics, score, {}, start, files)
        store.create(manifest.name, encode(manifest))
        print(f"Epoch: {epoch}", flush=True)
    if end == "fail":
        sys.exit("error: config.optimizer.warmup_steps: too many")
    if end == "crash":
        os.kill(os.getpid(), signal.SIGKILL)
    if end == "leave":
        os.kill(os.getpid(), signal.SIGTERM)
    beside = open_store(f"{url.rpartition('/')[0]}/{other or url.rpartition('/')[2]}")
    while not beside.exists("claims/1"):
        time.sleep(0.01)
    if end == "stop":
        os.kill(os.getppid(), signal.SIGTERM)
    while end:
        signal.pause()


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, leave)
    signal.alarm(60)  # ends the process when nothing else does
    main(*sys.argv[1:])
