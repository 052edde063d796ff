"""The machine code that the TPU's compiler emits, counted in its own dumps: nothing is measured.

    emitted = count(read(folder), tpu_hlo.op_weights(hlo))
    emitted.bundles         # instruction words of one run; a core issues at most one a cycle

The compiler writes them, after its last scheduling, when LIBTPU_INIT_ARGS holds DUMP_FLAGS. The
file TLP is the program; it calls a file for each larger operation. Waiting, as for copies, is not
in the count.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

# {} is the folder.
DUMP_FLAGS = (
    "--xla_jf_dump_to={} --xla_jf_dump_llo_text=true "
    "--xla_jf_dump_llo_pass_label_regex=final_bundles"
)
_PROGRAM = "TLP"
_BACK = re.compile(r"sbr\.rel \((!?%p\w+)\) target = \$region(\d+)")
_BUNDLE = re.compile(r"\s*(?:0x[0-9a-f]+|0)\s+(?:(\w\w) ?)?: [> ]*\{")


class Emitted(NamedTuple):
    """Of one run of a program."""

    bundles: int
    unknown_loops: int  # counted once, since how often they run is in a register only


class Loop(NamedTuple):
    """Bundles from `first` to `last` of a file, and how often, where its text says so."""

    first: int
    last: int
    trips: int | None


def read(folder: Path) -> dict[str, str]:
    """Texts by operation, of a folder that one compilation has written to."""
    texts = {}
    for path in folder.glob("*-final_bundles.txt"):
        match = re.fullmatch(r"\d+-(.+)-\d+-final_bundles\.txt", path.name)
        if match:
            texts[match[1]] = path.read_text(encoding="utf-8")
    return texts


def count(dumps: Mapping[str, str], weights: Mapping[str, int]) -> Emitted:
    """The bundles of a program; `weights` says how often an operation of its loops runs.

    Raises RuntimeError when the dumps hold no program.
    """
    if _PROGRAM not in dumps:
        raise RuntimeError(f"the compiler's dumps hold no {_PROGRAM}, only {sorted(dumps)[:5]}")
    inside, unknown = {}, 0
    for name, text in dumps.items():
        if name != _PROGRAM:
            lines = _bundles(text)
            inside[name], more = _total(lines, [1] * len(lines), _loops(lines), {})
            unknown += more
    lines = _bundles(dumps[_PROGRAM])
    issued = [1 + sum(inside.get(name, 0) for name in _calls(line)) for line in lines]
    total, more = _total(lines, issued, _loops(lines), weights)
    return Emitted(total, unknown + more)


def _bundles(text: str) -> list[str]:
    """One text a bundle; some go on for several lines."""
    bundles = []
    for line in text.splitlines():
        if _BUNDLE.match(line):
            bundles.append(line)
        elif bundles:
            bundles[-1] += " " + line
    return bundles


def _calls(bundle: str) -> list[str]:
    """Operations whose code a bundle calls."""
    return re.findall(r"inlined_call\b[^/]*/\* %?(<?[\w.-]+>?)", bundle)


def _loops(bundles: list[str]) -> list[Loop]:
    """Each loop runs from a header marked LB to a branch back to the region that starts there."""
    headers, loops = {}, []
    for last, bundle in enumerate(bundles):
        label = _BUNDLE.match(bundle)[1]
        if label == "LB":
            headers |= dict.fromkeys(re.findall(r"Start region (\d+)", bundle), last)
        for predicate, region in _BACK.findall(bundle):
            if region in headers:
                first = headers[region]
                loops.append(Loop(first, last, _trips(bundles[first : last + 1], predicate)))
    return loops


def _trips(bundles: list[str], predicate: str) -> int | None:
    """How often a loop runs that goes back on a predicate such as `!%p171_p6`, if it counts from 0
    by 1 to a number in the text."""
    name = re.escape(predicate.lstrip("!"))
    tests = [test for bundle in bundles for test in re.findall(rf"{name} = ([^;}}]*)", bundle)]
    if not tests or not predicate.startswith("!"):
        return None
    if re.match(r"pmov 1\b", tests[-1]):
        return 1
    limit = re.match(r"scmp\.(ge|gt)\.s32\.totalorder %\w+, (\d+)\b", tests[-1])
    return int(limit[2]) + (limit[1] == "gt") if limit else None


def _total(
    bundles: list[str], issued: list[int], loops: list[Loop], weights: Mapping[str, int]
) -> tuple[int, int]:
    """The sum of what each bundle issues times its runs, and the loops of unknown trips."""
    runs, unknown = [1] * len(bundles), 0
    for loop in sorted(loops, key=lambda loop: loop.first - loop.last):  # the outer ones first
        span = range(loop.first, loop.last + 1)
        trips = loop.trips
        if trips is None:
            called = [weights.get(name, 1) for i in span for name in _calls(bundles[i])]
            # The program's own loops run as often as the operations in them.
            trips = max(called, default=1) // runs[loop.first] or 1
            unknown += not called
        for i in span:
            runs[i] *= trips
    return sum(n * times for n, times in zip(issued, runs, strict=True)), unknown
