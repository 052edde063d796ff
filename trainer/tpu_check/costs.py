"""The work of a compiled TPU program, added up from the compiler's text; nothing is measured.

    program_costs(hlo.parse(text)).hbm_bytes

The compiler's own cost_analysis() counts the body of a loop once, however often it runs. Here each
instruction counts as often as it runs.
"""

import math
import re
from typing import NamedTuple

from trainer.tpu_check.hlo import Array, Computation, Instruction, Module, executions

_HBM, _VMEM = 0, 1  # memory spaces
# Opcodes that move and compute nothing: they name values, or what they do is counted elsewhere.
_NO_WORK = {
    *("parameter", "constant", "bitcast", "tuple", "get-tuple-element", "while", "conditional"),
    *("call", "after-all", "custom-call", "opt-barrier", "partition-id", "replica-id"),
}
_SLICES = {"dynamic-slice", "slice", "gather"}


class Costs(NamedTuple):
    """The costs of one run of a program on one core; a loop's body counts once per trip."""

    estimated_cycles: int  # by the compiler, coarse for small operations
    flops: int  # floating-point operations of the matrix products
    hbm_bytes: int  # read and written
    loop_copies: int  # copies between HBM and VMEM in loops, which wait for them
    loop_copy_bytes: int
    unknown_loops: int  # loops counted as one trip, since the text doesn't say how often they run


def program_costs(module: Module) -> Costs:
    """Returns the sums over all instructions, each as often as it runs."""
    found, unknown_loops = executions(module)
    cycles = flops = hbm_bytes = loop_copies = loop_copy_bytes = 0
    for name, (runs, in_loop) in found.items():
        computation = module.computations[name]
        for instruction in computation.values():
            cycles += runs * _estimated_cycles(instruction)
            flops += runs * _flops(module, computation, instruction)
            hbm_bytes += runs * _hbm_bytes(module, computation, instruction)
            copied = _copied_bytes(computation, instruction)
            if in_loop and copied:
                loop_copies += runs
                loop_copy_bytes += runs * copied
    return Costs(cycles, flops, hbm_bytes, loop_copies, loop_copy_bytes, unknown_loops)


def _estimated_cycles(instruction: Instruction) -> int:
    match = re.search(r'estimated_cycles":"(\d+)"', instruction.text)
    return int(match[1]) if match else 0


def _flops(module: Module, computation: Computation, instruction: Instruction) -> int:
    """Returns the operations of matrix products; the TPU's compiler calls each a convolution."""
    if instruction.opcode == "fusion":
        inner = _fused(module, instruction)
        return sum(_flops(module, inner, part) for part in inner.values())
    if instruction.opcode != "convolution":
        return 0
    labels = re.findall(r"dim_labels=(\w+)_\w+->", instruction.text)[0]
    operand = computation[instruction.operands[0]].arrays[0]
    contracted = operand.dimensions[labels.index("f")]
    window = re.search(r"window=\{size=([\dx]+)", instruction.text)
    positions = math.prod(int(n) for n in window[1].split("x")) if window else 1
    # A multiplication and an addition for each element of the result and of the contraction.
    return 2 * math.prod(instruction.arrays[0].dimensions) * contracted * positions


def _copied_bytes(computation: Computation, instruction: Instruction) -> int:
    """Returns the bytes of a pure copy between HBM and VMEM, 0 for other instructions."""
    ends: tuple[Array, ...]
    if instruction.opcode == "copy":
        ends = (instruction.arrays[0], computation[instruction.operands[0]].arrays[0])
    elif instruction.opcode.endswith("-start") and len(instruction.arrays) > 1:
        ends = instruction.arrays[:2]
    else:
        return 0
    spaces = {array.memory_space for array in ends}
    return min(array.size for array in ends) if spaces == {_HBM, _VMEM} else 0


def _hbm_bytes(module: Module, computation: Computation, instruction: Instruction) -> int:
    """Returns the bytes read from and written to HBM; of a sliced array only the slice."""
    if instruction.opcode in _NO_WORK or instruction.opcode.endswith("-done"):
        return 0
    if instruction.opcode.endswith("-start"):
        ends = instruction.arrays[:2]
        return sum(map(_is_in_hbm, ends)) * min((array.size for array in ends), default=0)
    positions = range(len(instruction.operands))
    read = sum(_bytes_read(module, computation, instruction, position) for position in positions)
    if instruction.opcode == "fusion":
        return read + _bytes_written_by_fusion(_fused(module, instruction), instruction)
    return read + _bytes_written(computation, instruction)


def _bytes_read(
    module: Module, computation: Computation, instruction: Instruction, position: int
) -> int:
    """Returns the bytes of HBM that an instruction reads of the operand at a position."""
    operand = computation[instruction.operands[position]]
    whole = sum(array.size for array in operand.arrays if _is_in_hbm(array))
    if instruction.opcode == "fusion":
        return _bytes_read_by_fusion(module, instruction, position, whole)
    if position == 0 and instruction.opcode in _SLICES:
        return min(whole, sum(array.size for array in instruction.arrays))
    return 0 if position == 0 and instruction.opcode == "dynamic-update-slice" else whole


def _bytes_read_by_fusion(module: Module, fusion: Instruction, position: int, whole: int) -> int:
    """Returns the bytes that a fusion reads of an operand, whose size is `whole`."""
    inner = _fused(module, fusion)
    parameter = next(
        instruction.name
        for instruction in inner.values()
        if instruction.opcode == "parameter" and instruction.text.startswith(f"{position})")
    )
    read = 0
    for user, name in _users(inner, parameter):
        is_first_operand = user.operands[0] == name
        if user.opcode == "fusion":
            positions = [i for i, operand in enumerate(user.operands) if operand == name]
            read += sum(_bytes_read_by_fusion(module, user, i, whole) for i in positions)
        elif is_first_operand and user.opcode in _SLICES:
            read += user.arrays[0].size
        elif not is_first_operand or user.opcode != "dynamic-update-slice":
            return whole
    return min(whole, read)


def _users(computation: Computation, name: str) -> list[tuple[Instruction, str]]:
    """Returns the instructions that use a value, each with the name under which it does.

    A bitcast is not a user: its own users are.
    """
    users = []
    for instruction in computation.values():
        if name in instruction.operands:
            is_bitcast = instruction.opcode == "bitcast"
            users += _users(computation, instruction.name) if is_bitcast else [(instruction, name)]
    return users


def _bytes_written(computation: Computation, instruction: Instruction) -> int:
    """Returns the bytes of HBM that an instruction other than a fusion writes."""
    if instruction.opcode == "dynamic-update-slice" and _is_in_hbm(instruction.arrays[0]):
        return computation[instruction.operands[1]].arrays[0].size
    return sum(array.size for array in instruction.arrays if _is_in_hbm(array))


def _bytes_written_by_fusion(inner: Computation, fusion: Instruction) -> int:
    """Returns the bytes of HBM that a fusion writes; of an update in place only the update."""
    root = next(instruction for instruction in inner.values() if instruction.is_root)
    results = [inner[name] for name in root.operands] if root.opcode == "tuple" else [root]
    written = 0
    for array, result in zip(fusion.arrays, results, strict=False):
        while result.opcode == "bitcast":
            result = inner[result.operands[0]]
        if _is_in_hbm(array):
            is_update = result.opcode == "dynamic-update-slice"
            written += inner[result.operands[1]].arrays[0].size if is_update else array.size
    return written


def _fused(module: Module, fusion: Instruction) -> Computation:
    return module.computations[fusion.called("calls")[0]]


def _is_in_hbm(array: Array) -> bool:
    return array.memory_space == _HBM
