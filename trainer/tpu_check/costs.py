"""What a TPU program does, added up from the compiler's own text: nothing here is measured.

    costs(tpu_hlo.parse(text)).hbm_bytes

The compiler's cost_analysis() counts the body of a loop once, however often it runs; here all is
multiplied by the trips.
"""

import math
import re
from typing import NamedTuple

from trainer.tpu_check.hlo import Computation, Hlo, Op, runs

_VMEM = 1
# No work of their own: names for values, or the ends of copies that are counted at their start.
_FREE = {
    *("parameter", "constant", "bitcast", "tuple", "get-tuple-element", "while", "conditional"),
    *("call", "after-all", "custom-call", "opt-barrier", "partition-id", "replica-id"),
}
_SLICES = {"dynamic-slice", "slice", "gather"}


class Costs(NamedTuple):
    """Of one run of the program on one core, loops multiplied by their trips."""

    estimated_cycles: int  # the compiler's own guess, which is coarse for small operations
    flops: int  # of the matrix products
    hbm_bytes: int  # read and written
    waits: int  # copies between HBM and VMEM within loops, one after the other
    wait_bytes: int
    unknown_loops: int  # counted once, since the text doesn't say how often they run


def costs(hlo: Hlo) -> Costs:
    """The sums over all that runs."""
    found, unknown = runs(hlo)
    cycles = flops = traffic = waits = wait_bytes = 0
    for name, (times, loop) in found.items():
        computation = hlo.computations[name]
        for op in computation.values():
            cycles += times * int((re.search(r'estimated_cycles":"(\d+)"', op.text) or [0, 0])[1])
            flops += times * _flops(hlo, computation, op)
            traffic += times * _hbm_bytes(hlo, computation, op)
            moved = _moved(computation, op)
            if loop and moved:
                waits += times
                wait_bytes += times * moved
    return Costs(cycles, flops, traffic, waits, wait_bytes, unknown)


def _flops(hlo: Hlo, computation: Computation, op: Op) -> int:
    """Of the matrix products in an operation; the TPU's compiler calls each a convolution."""
    if op.kind == "fusion":
        inner = hlo.computations[op.called("calls")[0]]
        return sum(_flops(hlo, inner, part) for part in inner.values())
    if op.kind != "convolution":
        return 0
    labels = re.search(r"dim_labels=(\w+)_\w+->", op.text)[1]
    contracted = computation[op.operands[0]].leaves[0].dimensions[labels.index("f")]
    window = re.search(r"window=\{size=([\dx]+)", op.text)
    positions = math.prod(int(n) for n in window[1].split("x")) if window else 1
    return 2 * math.prod(op.leaves[0].dimensions) * contracted * positions


def _moved(computation: Computation, op: Op) -> int:
    """Bytes that an operation only copies between HBM and VMEM."""
    if op.kind == "copy":
        ends = (op.leaves[0], computation[op.operands[0]].leaves[0])
    elif op.kind.endswith("-start") and len(op.leaves) > 1:
        ends = op.leaves[:2]
    else:
        return 0
    spaces = {leaf.space for leaf in ends}
    return min(leaf.size for leaf in ends) if spaces == {0, _VMEM} else 0


def _hbm_bytes(hlo: Hlo, computation: Computation, op: Op) -> int:
    """Bytes an operation reads from and writes to HBM; of what it slices, only the slice."""
    if op.kind in _FREE or op.kind.endswith("-done"):
        return 0
    if op.kind.endswith("-start"):
        ends = op.leaves[:2]
        return sum(leaf.space == 0 for leaf in ends) * min((e.size for e in ends), default=0)
    inner = hlo.computations[op.called("calls")[0]] if op.kind == "fusion" else None
    sizes = [_read(hlo, computation, op, place) for place in range(len(op.operands))]
    return sum(sizes) + _written(inner, computation, op)


def _read(hlo: Hlo, computation: Computation, op: Op, place: int) -> int:
    """Bytes of HBM that an operation reads of one operand."""
    whole = sum(e.size for e in computation[op.operands[place]].leaves if e.space == 0)
    if op.kind == "fusion":
        return _read_inside(hlo, op, place, whole)
    if place == 0 and op.kind in _SLICES:
        return min(whole, sum(leaf.size for leaf in op.leaves))
    return 0 if place == 0 and op.kind == "dynamic-update-slice" else whole


def _read_inside(hlo: Hlo, fusion: Op, place: int, whole: int) -> int:
    inner = hlo.computations[fusion.called("calls")[0]]
    parameter = next(
        op.name
        for op in inner.values()
        if op.kind == "parameter" and op.text.startswith(f"{place})")
    )
    read = 0
    for user, name in _users(inner, parameter):
        first = user.operands[0] == name
        if user.kind == "fusion":
            places = [i for i, operand in enumerate(user.operands) if operand == name]
            read += sum(_read_inside(hlo, user, i, whole) for i in places)
        elif first and user.kind in _SLICES:
            read += user.leaves[0].size
        elif not first or user.kind != "dynamic-update-slice":
            return whole
    return min(whole, read)


def _users(inner: Computation, name: str) -> list[tuple[Op, str]]:
    """Operations that use a value, and under which name, bitcasts seen through."""
    users = []
    for op in inner.values():
        if name in op.operands:
            users += _users(inner, op.name) if op.kind == "bitcast" else [(op, name)]
    return users


def _written(inner: Computation | None, computation: Computation, op: Op) -> int:
    if inner is None:
        if op.kind == "dynamic-update-slice" and op.leaves[0].space == 0:
            return computation[op.operands[1]].leaves[0].size
        return sum(leaf.size for leaf in op.leaves if leaf.space == 0)
    root = next(part for part in inner.values() if part.root)
    results = [inner[name] for name in root.operands] if root.kind == "tuple" else [root]
    written = 0
    for leaf, result in zip(op.leaves, results, strict=False):
        while result.kind == "bitcast":
            result = inner[result.operands[0]]
        in_place = result.kind == "dynamic-update-slice"
        size = inner[result.operands[1]].leaves[0].size if in_place else leaf.size
        written += size if leaf.space == 0 else 0
    return written
