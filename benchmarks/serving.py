"""Measures a server's latency and rate against its model called in process, a text at a time.

    python -m benchmarks.serving --workdir=runs/imdb-lstm

Exports the run, serves the export with `--mode=serve` in a process of its own, and sends it the
reviews of the run's test split, one a request: from one client, and from --clients at the same
time, each on a connection that it keeps. Clients share the machine with the server. The same
SavedModel is then called in this process with the same texts, one after another. A latency is the
time from the first byte of a request to the last one of its answer.
"""

import argparse
import asyncio
import contextlib
import itertools
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks.common import machine, print_table, run

_ROOT = Path(__file__).parents[1]
_PREDICT = "/v1/models/longhaul:predict"
_WARM_UP_SHARE = 0.2  # of the seconds of a measurement, not counted


class Served(NamedTuple):
    """A running server."""

    process: subprocess.Popen[str]
    port: int


@contextlib.contextmanager
def serving(workdir: Path | str, *flags: str) -> Iterator[Served]:
    """Runs `--mode=serve` on a free port within the context; exits when it doesn't start."""
    command = [sys.executable, "-m", "trainer", "--mode=serve", f"--workdir={workdir}", "--port=0"]
    with subprocess.Popen(
        [*command, *flags], cwd=_ROOT, stdout=subprocess.PIPE, text=True
    ) as process:
        line = next(iter(process.stdout or ()), "")
        if not line.startswith("Serving "):
            sys.exit("error: the server did not start")
        try:
            yield Served(process, int(line.rpartition(":")[2]))
        finally:
            process.terminate()


def request(text: str) -> bytes:
    """Returns the bytes of a request for one text."""
    body = json.dumps({"instances": [text]}).encode()
    head = f"POST {_PREDICT} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


async def client(port: int, requests: Iterator[bytes], until: float) -> list[tuple[float, float]]:
    """Sends requests until a time by the monotonic clock.

    Returns when each was answered, and its latency in seconds.
    """
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    answered = []
    while (begin := time.monotonic()) < until:
        writer.write(next(requests))
        head = await reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200 "):
            sys.exit(f"error: the server answered {head[:60]!r}")
        length = int(head.lower().partition(b"content-length:")[2].split(None, 1)[0])
        await reader.readexactly(length)
        end = time.monotonic()
        answered.append((end, end - begin))
    writer.close()
    return answered


async def _load(port: int, texts: Sequence[str], clients: int, seconds: float) -> np.ndarray:
    """Returns the latencies in seconds <float64>[requests] after the warm-up."""
    warm = time.monotonic() + _WARM_UP_SHARE * seconds
    requests = itertools.cycle([request(text) for text in texts])
    answers = await asyncio.gather(
        *(client(port, requests, warm + seconds) for _ in range(clients))
    )
    return np.array([latency for end, latency in itertools.chain(*answers) if end > warm])


def in_process(folder: Path, texts: Sequence[str], seconds: float) -> np.ndarray:
    """Returns the latencies of a SavedModel that is called with a text at a time."""
    import tensorflow as tf

    classify = tf.saved_model.load(str(folder)).signatures["serving_default"]
    latencies, warm = [], time.monotonic() + _WARM_UP_SHARE * seconds
    for text in itertools.cycle(texts):
        begin = time.monotonic()
        classify(text=tf.constant([text]))["probabilities"].numpy()
        end = time.monotonic()
        if end > warm:
            latencies.append(end - begin)
        if end > warm + seconds:
            return np.array(latencies)
    raise ValueError("no texts")


def reviews_of(workdir: str, count: int) -> list[str]:
    """Returns the first texts of a run's test split."""
    from configs.schema.stored import stored_config
    from input_pipeline.load import open_reviews
    from storage.store import open_store

    data = stored_config(open_store(workdir)).data
    batches = open_reviews(data).texts().batches(data.test_split)
    texts = (text.decode() for batch, _ in batches for text in batch.numpy())
    return list(itertools.islice(texts, count))


def row(name: str, latencies: np.ndarray, seconds: float) -> tuple[str, ...]:
    """Returns a row of the table: percentiles in milliseconds, and texts a second."""
    shown = (f"{1000 * np.percentile(latencies, share):.1f}" for share in (50, 95, 99))
    return (name, *shown, f"{len(latencies) / seconds:.0f}")


def main() -> None:
    """Parses the arguments, measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workdir", default="runs/imdb", help="a finished run")
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=20.0, help="of each measurement")
    parser.add_argument("--texts", type=int, default=2000, help="reviews that are sent in turn")
    args = parser.parse_args()
    texts = reviews_of(args.workdir, args.texts)
    rows: list[tuple[str, ...]] = [("", "p50 ms", "p95 ms", "p99 ms", "texts/s")]
    with tempfile.TemporaryDirectory(prefix="longhaul-") as name:
        folder = Path(name, "export")
        export = ["--mode=export", f"--workdir={args.workdir}", f"--to={folder}"]
        subprocess.run(
            [sys.executable, "-m", "trainer", *export],
            cwd=_ROOT, check=True, stdout=subprocess.DEVNULL,
        )  # fmt: skip
        alone = in_process(folder, texts, args.seconds)
        rows.append(row("SavedModel in process, a text at a time", alone, args.seconds))
        with serving(folder) as server:
            for clients in (1, args.clients):
                latencies = asyncio.run(_load(server.port, texts, clients, args.seconds))
                rows.append(row(f"server, {clients} client(s)", latencies, args.seconds))
    words = np.mean([len(text.split()) for text in texts])
    print(f"{machine()}; {args.workdir}; {len(texts):,} texts, {words:.0f} words on average")
    print_table(rows)


if __name__ == "__main__":
    run(main)
