"""The machine code that the TPU's compiler emits, counted in its dumps; nothing is measured.

    emitted = count(read_dumps(folder), hlo.instruction_runs(module))
    emitted.bundles         # instruction words of one run; a core issues at most one per cycle

The compiler writes the dumps, after its last scheduling, when LIBTPU_INIT_ARGS holds DUMP_FLAGS.
The dump TLP is the program; it calls a dump for each larger operation. Cycles in which the core
waits, as for copies, are not counted.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

# {} is the folder to write to.
DUMP_FLAGS = (
    "--xla_jf_dump_to={} --xla_jf_dump_llo_text=true "
    "--xla_jf_dump_llo_pass_label_regex=final_bundles"
)
_PROGRAM = "TLP"
_BRANCH_BACK = re.compile(r"sbr\.rel \((!?%p\w+)\) target = \$region(\d+)")
_BUNDLE = re.compile(r"\s*(?:0x[0-9a-f]+|0)\s+(?:\w\w ?)?: [> ]*\{")
_LOOP_HEADER = re.compile(r"\s*\w+\s+LB ?: ")


class Emitted(NamedTuple):
    """The bundles that one run of a program issues."""

    bundles: int
    unknown_loops: int  # loops counted as one trip, since only a register says how often they run


class Loop(NamedTuple):
    """A loop over the bundles from `first` to `last` of a dump."""

    first: int
    last: int
    trips: int | None  # None when the text doesn't say


def read_dumps(folder: Path) -> dict[str, str]:
    """Reads the dumps that one compilation has written to a folder; returns texts by operation."""
    texts = {}
    for path in folder.glob("*-final_bundles.txt"):
        match = re.fullmatch(r"\d+-(.+)-\d+-final_bundles\.txt", path.name)
        if match:
            texts[match[1]] = path.read_text(encoding="utf-8")
    return texts


def count(dumps: Mapping[str, str], runs: Mapping[str, int]) -> Emitted:
    """Counts the bundles of a program; `runs` says how often each operation of it runs.

    Raises RuntimeError when the dumps hold no program.
    """
    if _PROGRAM not in dumps:
        raise RuntimeError(f"the compiler's dumps hold no {_PROGRAM}, only {sorted(dumps)[:5]}")
    per_operation, unknown_loops = {}, 0
    for name, text in dumps.items():
        if name != _PROGRAM:
            lines = _bundles(text)
            per_operation[name], unknown = _total(lines, [1] * len(lines), {})
            unknown_loops += unknown
    lines = _bundles(dumps[_PROGRAM])
    issued = [1 + sum(per_operation.get(name, 0) for name in _calls(line)) for line in lines]
    total, unknown = _total(lines, issued, runs)
    return Emitted(total, unknown_loops + unknown)


def _bundles(text: str) -> list[str]:
    """Splits a dump into bundles; a bundle may span several lines."""
    bundles = []
    for line in text.splitlines():
        if _BUNDLE.match(line):
            bundles.append(line)
        elif bundles:
            bundles[-1] += " " + line
    return bundles


def _calls(bundle: str) -> list[str]:
    """Returns the operations whose code a bundle calls."""
    return re.findall(r"inlined_call\b[^/]*/\* %?(<?[\w.-]+>?)", bundle)


def _loops(bundles: list[str]) -> list[Loop]:
    """Finds the loops: each runs from a header, marked LB, to a branch back to its region."""
    headers: dict[str, int] = {}  # by region
    loops = []
    for last, bundle in enumerate(bundles):
        if _LOOP_HEADER.match(bundle):
            headers |= dict.fromkeys(re.findall(r"Start region (\d+)", bundle), last)
        for predicate, region in _BRANCH_BACK.findall(bundle):
            if region in headers:
                first = headers[region]
                trips = _trip_count(bundles[first : last + 1], predicate)
                loops.append(Loop(first, last, trips))
    return loops


def _trip_count(bundles: list[str], predicate: str) -> int | None:
    """Returns how often a loop runs that branches back on a predicate such as `!%p171_p6`.

    Returns None unless the loop counts from 0 by 1 to a number in the text.
    """
    name = re.escape(predicate.lstrip("!"))
    tests = [test for bundle in bundles for test in re.findall(rf"{name} = ([^;}}]*)", bundle)]
    if not tests or not predicate.startswith("!"):
        return None
    if re.match(r"pmov 1\b", tests[-1]):
        return 1
    limit = re.match(r"scmp\.(ge|gt)\.s32\.totalorder %\w+, (\d+)\b", tests[-1])
    return int(limit[2]) + (limit[1] == "gt") if limit else None


def _total(bundles: list[str], issued: list[int], runs: Mapping[str, int]) -> tuple[int, int]:
    """Returns the sum of what each bundle issues times how often it runs, and the unknown loops."""
    times, unknown_loops = [1] * len(bundles), 0
    outer_loops_first = sorted(_loops(bundles), key=lambda loop: loop.first - loop.last)
    for loop in outer_loops_first:
        span = range(loop.first, loop.last + 1)
        trips = loop.trips
        if trips is None:
            called = [runs.get(name, 1) for i in span for name in _calls(bundles[i])]
            # A loop of the program runs as often as the operations that it calls.
            trips = max(called, default=1) // times[loop.first] or 1
            unknown_loops += not called
        for i in span:
            times[i] *= trips
    return sum(n * each for n, each in zip(issued, times, strict=True)), unknown_loops
