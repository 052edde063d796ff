"""Sends a server malformed and hostile requests, and watches its answers and its memory.

    python -m benchmarks.hostile_requests --workdir=runs/imdb-lstm --count=10000

Serves the run with `--mode=serve` in a process of its own, with a time limit of 2 seconds, and
sends a random choice of `benchmarks.hostile.KINDS` from several clients at a time. Prints a row for
each kind, and the memory of the server's process along the way. Exits with an error if an answer
has a wrong status code, if the server has ended, or if it refuses a valid request after all that.
"""

import argparse
import asyncio
import collections
import random
import sys
import time
from pathlib import Path

from benchmarks.common import machine, print_table, run
from benchmarks.hostile import KINDS, VALID, Kind, exchange, head
from benchmarks.serving import Served, serving

_FLAGS = ("--config=configs/default.py", "--config.serving.timeout_seconds=2.0")
_POINTS = 10  # at which memory is read
_PER_MIB = 1024


class Counts:
    """What each kind of request was answered with: how often each status code."""

    def __init__(self) -> None:
        self._answers = {kind.name: collections.Counter[int]() for kind in KINDS}

    def add(self, kind: Kind, status: int) -> None:
        """Counts an answer."""
        self._answers[kind.name][status] += 1

    def wrong(self, kind: Kind) -> int:
        """Returns the number of wrong answers to a kind."""
        answers = self._answers[kind.name]
        return sum(count for status, count in answers.items() if status not in kind.accepted)

    def rows(self) -> list[tuple[str, ...]]:
        """Returns the rows of the table."""
        rows: list[tuple[str, ...]] = [("request", "sent", "wrong", "answers: status x number")]
        for kind in KINDS:
            answers = self._answers[kind.name]
            shown = ", ".join(
                f"{status or 'closed'} x {n}" for status, n in sorted(answers.items())
            )
            rows.append((kind.name, f"{answers.total()}", f"{self.wrong(kind)}", shown))
        return rows


def memory(server: Served) -> float:
    """Returns the resident memory of the server in MiB; exits when it has ended."""
    if server.process.poll() is not None:
        sys.exit(f"error: the server ended with code {server.process.returncode}")
    lines = Path(f"/proc/{server.process.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / _PER_MIB


async def send_all(
    server: Served, plan: list[Kind], clients: int, seed: int, counts: Counts
) -> None:
    """Sends the requests of a plan in their order, from several clients at a time."""
    left = iter(plan)

    async def send(number: int) -> None:
        generator = random.Random(f"{seed}-{number}")
        for kind in left:
            counts.add(kind, await kind.send(server.port, generator))

    await asyncio.gather(*map(send, range(clients)))


async def answer(port: int) -> int:
    """Returns the status of a valid request."""
    return (await exchange(port, [head(len(VALID), "Connection: close"), VALID]))[0]


def main() -> None:
    """Parses the arguments, sends, prints and checks."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workdir", default="runs/imdb", help="a finished run, or an export")
    parser.add_argument("--count", type=int, default=10_000, help="requests")
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    weights = [kind.weight for kind in KINDS]
    plan = random.Random(args.seed).choices(KINDS, weights, k=args.count)
    begin, counts, rss = time.monotonic(), Counts(), []
    with serving(args.workdir, *_FLAGS) as server:
        rss.append(memory(server))
        size = -(-len(plan) // _POINTS)
        for start in range(0, len(plan), size):
            part = plan[start : start + size]
            asyncio.run(send_all(server, part, args.clients, args.seed + start, counts))
            rss.append(memory(server))
        still_answers = asyncio.run(answer(server.port)) == 200
    print(f"{machine()}; {args.workdir}; {args.count:,} requests from {args.clients} clients in")
    print(f"{time.monotonic() - begin:.0f} seconds, the server's start included")
    print_table(counts.rows())
    print(f"Memory of the server, MiB: {', '.join(f'{value:.0f}' for value in rss)}")
    wrong = sum(map(counts.wrong, KINDS))
    if wrong or not still_answers:
        sys.exit(f"error: {wrong} wrong answers; answers a valid request after: {still_answers}")


if __name__ == "__main__":
    run(main)
