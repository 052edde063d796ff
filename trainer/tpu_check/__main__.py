"""Checks on a machine without a TPU whether and how a config's training step compiles for one.

    pip install 'longhaul[tpu-check]'
    python -m trainer.tpu_check --config=configs/imdb_tpu.py --topology=v5e:2x2

Compiles the step at each width of the run's plan with the TPU's own compiler, and prints what that
says of the program. Exit code 1 when a width does not compile or does not fit.
"""

import os
import sys

from absl import app, flags, logging

from configs.schema import command_line, rules
from storage.errors import UserError
from trainer.machines.quiet import quiet_start
from trainer.tpu_check.compiler import Compiler, Failed

_CONFIG = command_line.define_config()
_TOPOLOGY = flags.DEFINE_string("topology", "v5e:2x2", "A TPU and its shape, as v5e:2x2.")

_COLUMNS = (
    ("width", 6),
    ("steps", 7),
    ("compiled in", 13),
    ("HBM", 15),
    ("matrices", 11),
    ("HBM moved", 11),
    ("bundles", 10),
    ("copies in loops", 28),
    ("guess", 10),
)
_NOTES = """\
Read from the compiler, not measured on the chip. Of one core and step, loops times their trips:
  HBM        arguments, temporaries, outputs and code, and the share of the core's
  matrices   floating-point operations of the matrix products
  HBM moved  bytes read from HBM and written to it
  bundles    instruction words issued, at most one a cycle, waiting left out
  copies     between HBM and VMEM, which a loop waits for; at the full bandwidth
  guess      the compiler's own estimate in cycles, coarse for small operations
"""


def main(argv: list[str]) -> None:
    """Prints the table; exit code 1 and one line for a UserError."""
    if argv[1:]:
        sys.exit(f"error: {argv[1]!r}: no flag; quote a value that has spaces")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # read when TensorFlow is imported
    try:
        _check(_CONFIG.value, _TOPOLOGY.value)
    except UserError as error:
        sys.exit(f"error: {error}")


def _check(config, topology: str) -> None:
    if config is None:
        raise UserError("--config: missing; give a config such as configs/imdb_tpu.py")
    rules.check(config)
    with Compiler(topology) as compiler:
        # Imported now: a mistake in the flags shouldn't wait for TensorFlow.
        with quiet_start():
            from trainer.tpu_check import step_programs

        plan = step_programs.read_plan(config, compiler.cores)
        gradients = step_programs.gradient_bytes(config, plan.vocabulary_size)
        print(
            f"{compiler.cores} cores of {compiler.kind}, each {plan.rows} reviews a step in ",
            end="",
        )
        print(f"{config.model.precision}; {_size(gradients)} of gradients to sum over the cores")
        print(_NOTES)
        print("".join(f"{name:>{width}}" for name, width in _COLUMNS), flush=True)
        programs = {}
        for width in plan.widths:
            try:
                programs[width] = step_programs.check_width(config, plan, compiler, width)
                row = _row(width, plan.steps[width], programs[width], compiler.chip)
            except Failed as error:
                row = f"{width:>6}{plan.steps[width]:>7}  does not compile: {error}"
            print(row, flush=True)
    failed = len(plan.widths) - len(programs)
    if failed:
        raise UserError(f"{failed} of {len(plan.widths)} widths do not compile for {topology}")
    print(_per_token(plan, programs, compiler.chip))


def _row(width: int, steps: int, program, chip) -> str:
    costs = program.costs
    share = f" {program.memory_bytes / chip.hbm_bytes:.1%}" if chip else ""
    cells = (
        *(f"{width}", f"{steps}", f"{program.seconds:.1f} s"),
        f"{_size(program.memory_bytes)}{share}",
        f"{costs.flops / 1e9:,.1f} G",
        _size(costs.hbm_bytes),
        f"{program.bundles / 1e6:.2f} M",
        _copies(costs.waits, costs.wait_bytes, chip),
        f"{costs.estimated_cycles / 1e6:.1f} M",
    )
    return "".join(f"{cell:>{width}}" for cell, (_, width) in zip(cells, _COLUMNS, strict=True))


def _copies(count: float, size: float, chip) -> str:
    if not count:
        return "none"
    time = f", {size / chip.hbm_bytes_per_second * 1e3:.2f} ms" if chip else ""
    return f"{count:,.0f}, {_size(size)}{time}"


def _per_token(plan, programs: dict, chip) -> str:
    """The sums over an epoch and all cores, for each word that is no padding."""
    tokens = sum(plan.tokens.values())
    padded = sum(width * plan.steps[width] * plan.rows * plan.cores for width in programs)

    def mean(value) -> float:
        total = sum(value(program) * plan.steps[width] for width, program in programs.items())
        return total * plan.cores / tokens

    def moved(value) -> str:
        size = mean(value)
        time = f", {size / chip.hbm_bytes_per_second * 1e9:.1f} ns" if chip else ""
        return f"{size:,.0f} bytes{time}"

    unknown = sum(program.unknown_loops for program in programs.values())
    return f"""
Per real token of an epoch, {tokens:,} of {padded:,} with padding, on its core:
  {mean(lambda program: program.bundles):,.1f} bundles
  {moved(lambda program: program.costs.wait_bytes)} in copies that loops wait for
  {moved(lambda program: program.costs.hbm_bytes)} in all that HBM moves
  {mean(lambda program: program.costs.flops):,.0f} operations in matrices
  {mean(lambda program: program.costs.estimated_cycles):,.1f} cycles by the compiler's guess
{unknown} small loops count once: the text doesn't say how often they run."""


def _size(count: float) -> str:
    if count >= 1e9:
        return f"{count / 1e9:,.2f} GB"
    return f"{count / 1e6:,.1f} MB" if count >= 1e5 else f"{count / 1e3:,.1f} kB"


if __name__ == "__main__":
    logging.set_verbosity(logging.WARNING)
    sys.stdout.reconfigure(encoding="utf-8")
    app.run(main, flags_parser=command_line.parse)
