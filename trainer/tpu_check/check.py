"""The TPU check of a whole config: compiles its training step at each width, prints a report.

check_config(config, topology="v5e:2x2")
"""

import ml_collections

from configs.schema import rules
from storage.errors import UserError
from trainer.machines.startup_messages import quiet_start
from trainer.tpu_check.compiler import CompileError, Compiler


def check_config(config: ml_collections.ConfigDict, topology: str) -> None:
    """Compiles the step at each width of the run's plan and prints the report.

    Raises UserError when the config or the topology is not accepted, or when the step does not
    compile at a width, as when its program does not fit in memory.
    """
    rules.check(config)
    with Compiler(topology) as compiler:
        # Imported late, so that a mistake in the flags is reported before TensorFlow is loaded.
        with quiet_start():
            from trainer.tpu_check import report, step_programs

        plan = step_programs.read_plan(config, compiler.cores)
        gradients = step_programs.gradient_bytes(config, plan.encoding)
        print(report.heading(compiler, plan, config.model.precision, gradients), flush=True)
        programs = {}
        for width in plan.widths:
            try:
                programs[width] = step_programs.compile_step(config, plan, compiler, width)
            except CompileError as error:
                row = report.failed_row(width, plan.steps[width], error)
            else:
                row = report.row(width, plan.steps[width], programs[width], compiler.chip)
            print(row, flush=True)
    failed = len(plan.widths) - len(programs)
    if failed:
        raise UserError(
            f"--topology: the step does not compile for {topology} at {failed} of "
            f"{len(plan.widths)} widths; the report gives the reasons"
        )
    print(report.epoch_summary(plan, programs, compiler.chip))
