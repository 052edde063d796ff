"""A TPU program as the compiler's own text has it: its operations, and how often each runs.

    hlo = parse(executable.hlo_modules()[0].to_string())
    op_weights(hlo)["fusion.227"]       # 256

The text is the scheduled HLO after all passes: what stands outside of a fusion is what runs, and a
layout that ends with S(n) says that a value does not lie in HBM.
"""

import math
import re
from typing import NamedTuple

_LEAF = re.compile(r"(\w+)\[([\d,]*)\](?:\{([^}]*)\})?")


class Leaf(NamedTuple):
    """One array of a value."""

    dimensions: tuple[int, ...]
    size: int  # bytes, with the padding to the layout's tiles
    space: int  # 0 is HBM


class Op(NamedTuple):
    """One instruction."""

    name: str
    kind: str
    leaves: tuple[Leaf, ...]
    operands: tuple[str, ...]
    text: str  # from the operands on
    root: bool

    def called(self, attribute: str) -> list[str]:
        """Computations named by an attribute such as `calls` or `body`."""
        match = re.search(rf"\b{attribute}=\{{?((?:%[\w.<>-]+(?:, )?)+)", self.text)
        return re.findall(r"%([\w.<>-]+)", match[1]) if match else []


Computation = dict[str, Op]


class Hlo(NamedTuple):
    """A scheduled module."""

    computations: dict[str, Computation]
    entry: str


def parse(text: str) -> Hlo:
    """The computations of a module's text."""
    computations, entry, current = {}, "", None
    for line in re.sub(r"/\*.*?\*/", "", text).splitlines():
        head = re.match(r"(ENTRY )?%([\w.<>-]+) \(.*\{$", line)
        if head:
            current = computations[head[2]] = {}
            entry = head[2] if head[1] else entry
        elif line.startswith("  ") and current is not None:
            op = _parse_op(line)
            current[op.name] = op
    return Hlo(computations, entry)


def _parse_op(line: str) -> Op:
    name, _, rest = line.strip().removeprefix("ROOT ").partition(" = ")
    end = _closing(rest) if rest.startswith("(") else rest.index(" ")
    shape, rest = rest[:end], rest[end:].lstrip()
    kind, _, text = rest.partition("(")
    arguments = text[: _closing("(" + text) - 2]
    return Op(
        name.removeprefix("%"),
        kind,
        tuple(_leaf(*match) for match in _LEAF.findall(shape)),
        tuple(re.findall(r"%([\w.<>-]+)", arguments)),
        text,
        line.lstrip().startswith("ROOT "),
    )


def _closing(text: str) -> int:
    """Where the bracket that opens a text has closed."""
    depth = 0
    for i, letter in enumerate(text):
        depth += (letter == "(") - (letter == ")")
        if not depth:
            return i + 1
    return len(text)


def _leaf(kind: str, dimensions: str, layout: str) -> Leaf:
    """`bf16[256,64,64]{2,1,0:T(8,128)(2,1)S(1)}` in parts."""
    bits = 8 if kind == "pred" else int((re.search(r"\d+", kind) or ["0"])[0])
    sizes = [int(n) for n in dimensions.split(",") if n]
    order, _, tiling = layout.partition(":")
    padded = list(sizes)
    tile = re.match(r"T\(([\d,]+)\)", tiling)
    minor_first = [int(n) for n in order.split(",") if n]
    # Dimensions in the order of memory against the tile's, both from the fastest on.
    steps = [int(n) for n in tile[1].split(",")][::-1] if tile else []
    for axis, step in zip(minor_first, steps, strict=False):
        padded[axis] = -(-padded[axis] // step) * step
    space = re.search(r"S\((\d+)\)", tiling)
    return Leaf(tuple(sizes), math.prod(padded) * bits // 8, int(space[1]) if space else 0)


def op_weights(hlo: Hlo) -> dict[str, int]:
    """How often each scheduled operation runs."""
    return {op: n for name, (n, _) in runs(hlo)[0].items() for op in hlo.computations[name]}


def runs(hlo: Hlo) -> tuple[dict[str, tuple[int, bool]], int]:
    """Scheduled computations -> (how often, in a loop?); and the number of loops that count once,
    since their text doesn't say how often they run."""
    found, unknown = {}, 0
    left = [(hlo.entry, 1, False)]
    while left:
        name, times, loop = left.pop()
        found[name] = (found.get(name, (0, loop))[0] + times, loop)
        for op in hlo.computations[name].values():
            if op.kind == "while":
                trips = _trips(hlo, hlo.computations[name], op)
                unknown += trips is None
                left += [(body, times * (trips or 1), True) for body in op.called("body")]
            elif op.kind in ("conditional", "call"):
                # Branches count as taken, all of them.
                for key in ("branch_computations", "true_computation", "false_computation"):
                    left += [(branch, times, loop) for branch in op.called(key)]
                left += [(called, times, loop) for called in op.called("to_apply")]
    return found, unknown


def _trips(hlo: Hlo, caller: Computation, loop: Op) -> int | None:
    """How often a `while` runs, None when its text doesn't say."""
    known = re.search(r'known_trip_count":\{"n":"(\d+)"', loop.text)
    if known:
        return int(known[1])
    condition = hlo.computations[loop.called("condition")[0]]
    test = next(op for op in condition.values() if op.root)
    if test.kind != "compare" or "direction=LT" not in test.text:
        return None
    start, limit = (_limit(hlo, caller, loop, condition, name) for name in test.operands)
    return None if start is None or limit is None else limit - start


def _limit(
    hlo: Hlo, caller: Computation, loop: Op, condition: Computation, name: str
) -> int | None:
    """The value that a loop's condition compares, as it is before the loop."""
    op = condition[name]
    if op.kind == "constant":
        return _constant(op)
    index = re.search(r"index=(\d+)", op.text)
    start = caller[loop.operands[0]]
    if index is None or start.kind != "tuple":
        return None
    return _value(hlo, caller, start.operands[int(index[1])])


def _value(hlo: Hlo, computation: Computation, name: str) -> int | None:
    """The integer a value has, if that is plain to see."""
    op = computation[name]
    if op.kind == "constant":
        return _constant(op)
    if op.kind in ("copy", "bitcast", "copy-done", "copy-start"):
        return _value(hlo, computation, op.operands[0])
    source = computation.get(op.operands[0]) if op.kind == "get-tuple-element" else None
    if source is None or source.kind not in ("while", "tuple"):
        return None
    index = int(re.search(r"index=(\d+)", op.text)[1])
    if source.kind == "tuple":
        return _value(hlo, computation, source.operands[index])
    body = hlo.computations[source.called("body")[0]]
    last = body[next(op for op in body.values() if op.root).operands[index]]
    start = computation[source.operands[0]]
    if start.kind != "tuple":
        return None
    before = _value(hlo, computation, start.operands[index])
    if last.kind == "get-tuple-element":  # passed through
        return before
    trips = _trips(hlo, computation, source)  # a counter
    return None if last.kind != "add" or None in (before, trips) else before + trips


def _constant(op: Op) -> int | None:
    match = re.match(r"(-?\d+)\)", op.text)
    return int(match[1]) if match else None
