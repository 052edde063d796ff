"""A compiled TPU program in the compiler's text form (HLO): its instructions, how often each runs.

    module = parse(executable.hlo_modules()[0].to_string())
    instruction_runs(module)["fusion.227"]       # 256

The text is the scheduled HLO after all passes: the instructions outside of fusions are what runs. A
layout that ends with S(n) places an array in memory space n; without it the array is in HBM. The
terms are those of https://openxla.org/xla/operation_semantics.
"""

import math
import re
from typing import NamedTuple

_ARRAY = re.compile(r"(\w+)\[([\d,]*)\](?:\{([^}]*)\})?")


class Array(NamedTuple):
    """One array of an instruction's result."""

    dimensions: tuple[int, ...]
    size: int  # bytes, including the padding to the layout's tiles
    memory_space: int  # 0 is HBM


class Instruction(NamedTuple):
    """One instruction of a computation."""

    name: str
    opcode: str
    arrays: tuple[Array, ...]  # the result; several for a tuple
    operands: tuple[str, ...]  # names of instructions
    text: str  # the operands and all attributes
    is_root: bool  # its result is that of the computation

    def called(self, attribute: str) -> list[str]:
        """Returns the computations named by an attribute such as `calls` or `body`."""
        match = re.search(rf"\b{attribute}=\{{?((?:%[\w.<>-]+(?:, )?)+)", self.text)
        return re.findall(r"%([\w.<>-]+)", match[1]) if match else []


Computation = dict[str, Instruction]


class Module(NamedTuple):
    """The computations of a program, by name."""

    computations: dict[str, Computation]
    entry: str


class Execution(NamedTuple):
    """How often a computation runs, and whether it is part of a loop."""

    runs: int
    in_loop: bool


def parse(text: str) -> Module:
    """Parses the text of a scheduled HLO module."""
    computations: dict[str, Computation] = {}
    entry, current = "", None
    for line in re.sub(r"/\*.*?\*/", "", text).splitlines():
        head = re.match(r"(ENTRY )?%([\w.<>-]+) \(.*\{$", line)
        if head:
            current = computations[head[2]] = {}
            entry = head[2] if head[1] else entry
        elif line.startswith("  ") and current is not None:
            instruction = _parse_instruction(line)
            current[instruction.name] = instruction
    return Module(computations, entry)


def _parse_instruction(line: str) -> Instruction:
    name, _, rest = line.strip().removeprefix("ROOT ").partition(" = ")
    end = _closing_bracket(rest) if rest.startswith("(") else rest.index(" ")
    shape, rest = rest[:end], rest[end:].lstrip()
    opcode, _, text = rest.partition("(")
    operands = text[: _closing_bracket("(" + text) - 2]
    return Instruction(
        name=name.removeprefix("%"),
        opcode=opcode,
        arrays=tuple(_parse_array(*match) for match in _ARRAY.findall(shape)),
        operands=tuple(re.findall(r"%([\w.<>-]+)", operands)),
        text=text,
        is_root=line.lstrip().startswith("ROOT "),
    )


def _closing_bracket(text: str) -> int:
    """Returns the position after the bracket that closes the first one of a text."""
    depth = 0
    for i, letter in enumerate(text):
        depth += (letter == "(") - (letter == ")")
        if not depth:
            return i + 1
    return len(text)


def _parse_array(dtype: str, dimensions: str, layout: str) -> Array:
    """Parses the parts of a shape such as `bf16[256,64,64]{2,1,0:T(8,128)(2,1)S(1)}`."""
    bits = 8 if dtype == "pred" else int((re.search(r"\d+", dtype) or ["0"])[0])
    sizes = [int(n) for n in dimensions.split(",") if n]
    order, _, tiling = layout.partition(":")
    padded = list(sizes)
    tile = re.match(r"T\(([\d,]+)\)", tiling)
    minor_to_major = [int(n) for n in order.split(",") if n]
    # The tile's sizes are in major-to-minor order; reversed they match the layout's.
    tile_sizes = [int(n) for n in tile[1].split(",")][::-1] if tile else []
    for axis, tile_size in zip(minor_to_major, tile_sizes, strict=False):
        padded[axis] = -(-padded[axis] // tile_size) * tile_size
    space = re.search(r"S\((\d+)\)", tiling)
    return Array(tuple(sizes), math.prod(padded) * bits // 8, int(space[1]) if space else 0)


def instruction_runs(module: Module) -> dict[str, int]:
    """Returns how often each scheduled instruction runs, by name."""
    return {
        instruction: execution.runs
        for name, execution in executions(module)[0].items()
        for instruction in module.computations[name]
    }


def executions(module: Module) -> tuple[dict[str, Execution], int]:
    """Returns the executions of all scheduled computations, and the number of unknown loops.

    The body of an unknown loop counts once, since the text doesn't say how often it runs. All
    branches of a conditional count.
    """
    found: dict[str, Execution] = {}
    unknown_loops = 0
    pending = [(module.entry, 1, False)]
    while pending:
        name, runs, in_loop = pending.pop()
        runs_before = found[name].runs if name in found else 0
        found[name] = Execution(runs_before + runs, in_loop)
        for instruction in module.computations[name].values():
            if instruction.opcode == "while":
                trips = _trip_count(module, module.computations[name], instruction)
                unknown_loops += trips is None
                bodies = instruction.called("body")
                pending += [(body, runs * (trips or 1), True) for body in bodies]
            elif instruction.opcode in ("conditional", "call"):
                for attribute in ("branch_computations", "true_computation", "false_computation"):
                    branches = instruction.called(attribute)
                    pending += [(branch, runs, in_loop) for branch in branches]
                pending += [(called, runs, in_loop) for called in instruction.called("to_apply")]
    return found, unknown_loops


def _trip_count(module: Module, caller: Computation, loop: Instruction) -> int | None:
    """Returns how often a `while` runs its body, None when the text doesn't say."""
    known = re.search(r'known_trip_count":\{"n":"(\d+)"', loop.text)
    if known:
        return int(known[1])
    condition = module.computations[loop.called("condition")[0]]
    test = next(instruction for instruction in condition.values() if instruction.is_root)
    if test.opcode != "compare" or "direction=LT" not in test.text:
        return None
    start, limit = (
        _compared_value(module, caller, loop, condition, name) for name in test.operands
    )
    return None if start is None or limit is None else limit - start


def _compared_value(
    module: Module, caller: Computation, loop: Instruction, condition: Computation, name: str
) -> int | None:
    """Returns the value before the loop of what its condition compares, None when unknown."""
    compared = condition[name]
    if compared.opcode == "constant":
        return _literal(compared)
    index = re.search(r"index=(\d+)", compared.text)
    start = caller[loop.operands[0]]
    if index is None or start.opcode != "tuple":
        return None
    return _value(module, caller, start.operands[int(index[1])])


def _value(module: Module, computation: Computation, name: str) -> int | None:
    """Returns the integer that an instruction computes, None when the text doesn't show it."""
    instruction = computation[name]
    if instruction.opcode == "constant":
        return _literal(instruction)
    if instruction.opcode in ("copy", "bitcast", "copy-done", "copy-start"):
        return _value(module, computation, instruction.operands[0])
    if instruction.opcode != "get-tuple-element":
        return None
    source = computation[instruction.operands[0]]
    index = int(re.findall(r"index=(\d+)", instruction.text)[0])
    if source.opcode == "tuple":
        return _value(module, computation, source.operands[index])
    return _value_after(module, computation, source, index) if source.opcode == "while" else None


def _value_after(
    module: Module, computation: Computation, loop: Instruction, index: int
) -> int | None:
    """Returns the integer at an index of a loop's tuple when the loop has ended, or None."""
    start = computation[loop.operands[0]]
    if start.opcode != "tuple":
        return None
    body = module.computations[loop.called("body")[0]]
    root = next(instruction for instruction in body.values() if instruction.is_root)
    result = body[root.operands[index]]
    before = _value(module, computation, start.operands[index])
    if result.opcode == "get-tuple-element":  # unchanged by the loop
        return before
    trips = _trip_count(module, computation, loop)
    if result.opcode != "add" or before is None or trips is None:
        return None
    return before + trips  # an addition is taken for a counter's, which adds 1 in each trip


def _literal(constant: Instruction) -> int | None:
    match = re.match(r"(-?\d+)\)", constant.text)
    return int(match[1]) if match else None
