"""The report of the TPU check as text: a heading, a row for each width, the sums over an epoch.

print(heading(compiler, plan, precision, gradient_bytes))
print(row(width, plan.steps[width], program, compiler.chip))
print(epoch_summary(plan, programs, compiler.chip))
"""

from collections.abc import Callable, Mapping

from trainer.tpu_check.compiler import Chip, CompileError, Compiler, Program
from trainer.tpu_check.step_programs import Plan

# The columns of the table and their widths in characters.
_COLUMNS = {
    "width": 6,
    "steps": 7,
    "compiled in": 13,
    "HBM": 15,
    "FLOPs": 11,
    "HBM moved": 11,
    "bundles": 10,
    "copies in loops": 28,
    "estimate": 10,
}
_NOTES = """\
Read from the compiler's output, not measured on a chip. Per core and step, each loop counted as
often as it runs:
  HBM        arguments, temporaries, outputs and code, and their fraction of the core's memory
  FLOPs      floating-point operations of the matrix products
  HBM moved  bytes read from HBM and written to it
  bundles    instruction words issued, at most one per cycle; waiting is not counted
  copies     between HBM and VMEM, which a loop waits for: number, bytes, time at full bandwidth
  estimate   the compiler's own, in cycles; coarse for small operations
"""


def heading(compiler: Compiler, plan: Plan, precision: str, gradient_bytes: int) -> str:
    """Returns what holds for all widths, the notes and the names of the columns."""
    return (
        f"{compiler.cores} cores of {compiler.kind}, {plan.reviews_per_core} reviews per core and "
        f"step, {precision}; {_size(gradient_bytes)} of gradients to sum over the cores\n"
        f"{_NOTES}\n" + "".join(f"{name:>{width}}" for name, width in _COLUMNS.items())
    )


def row(width: int, steps: int, program: Program, chip: Chip | None) -> str:
    """Returns the table's row for the program of one width."""
    costs = program.costs
    fraction = f" {program.memory_bytes / chip.hbm_bytes:.1%}" if chip else ""
    cells = (
        *(f"{width}", f"{steps}", f"{program.seconds:.1f} s"),
        f"{_size(program.memory_bytes)}{fraction}",
        f"{costs.flops / 1e9:,.1f} G",
        _size(costs.hbm_bytes),
        f"{program.bundles / 1e6:.2f} M",
        _copies(costs.loop_copies, costs.loop_copy_bytes, chip),
        f"{costs.estimated_cycles / 1e6:.1f} M",
    )
    columns = zip(cells, _COLUMNS.values(), strict=True)
    return "".join(f"{cell:>{characters}}" for cell, characters in columns)


def failed_row(width: int, steps: int, error: CompileError) -> str:
    """Returns the table's row for a width whose program does not compile."""
    return f"{width:>6}{steps:>7}  does not compile: {error}"


def epoch_summary(plan: Plan, programs: Mapping[int, Program], chip: Chip | None) -> str:
    """Returns the sums over an epoch and all cores, per token; `programs` holds all widths."""
    tokens = sum(plan.tokens.values())
    slots = plan.cores * plan.reviews_per_core
    slots *= sum(width * plan.steps[width] for width in programs)

    def per_token(value: Callable[[Program], int]) -> float:
        total = sum(value(program) * plan.steps[width] for width, program in programs.items())
        return total * plan.cores / tokens

    def bytes_per_token(value: Callable[[Program], int]) -> str:
        size = per_token(value)
        time = f", {size / chip.hbm_bytes_per_second * 1e9:.1f} ns" if chip else ""
        return f"{size:,.0f} bytes{time}"

    unknown_loops = sum(program.unknown_loops for program in programs.values())
    return f"""
Per token of an epoch, {tokens:,} tokens in {slots:,} slots, on the token's core:
  {per_token(lambda program: program.bundles):,.1f} bundles
  {bytes_per_token(lambda program: program.costs.loop_copy_bytes)} in copies that loops wait for
  {bytes_per_token(lambda program: program.costs.hbm_bytes)} of HBM traffic
  {per_token(lambda program: program.costs.flops):,.0f} FLOPs of matrix products
  {per_token(lambda program: program.costs.estimated_cycles):,.1f} cycles by the compiler's estimate
{unknown_loops} small loops count as one trip: the text doesn't say how often they run."""


def _copies(count: int, size: int, chip: Chip | None) -> str:
    if not count:
        return "none"
    time = f", {size / chip.hbm_bytes_per_second * 1e3:.2f} ms" if chip else ""
    return f"{count:,.0f}, {_size(size)}{time}"


def _size(count: float) -> str:
    """Formats a number of bytes."""
    if count >= 1e9:
        return f"{count / 1e9:,.2f} GB"
    return f"{count / 1e6:,.1f} MB" if count >= 1e5 else f"{count / 1e3:,.1f} kB"
