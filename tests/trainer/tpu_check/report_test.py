"""The report's text for programs whose numbers are given."""

import pytest

from trainer.tpu_check import report
from trainer.tpu_check.compiler import Chip, CompileError, Program
from trainer.tpu_check.costs import Costs
from trainer.tpu_check.step_programs import Plan

CHIP = Chip(hbm_bytes=10**9, hbm_bytes_per_second=1e9)
PLAN = Plan(
    widths=[16, 32],
    steps={16: 3, 32: 1},
    tokens={16: 100, 32: 60},
    cores=2,
    reviews_per_core=4,
    total_steps=8,
    encoding=None,
)


@pytest.fixture
def program():
    costs = Costs(
        estimated_cycles=800,
        flops=2_500_000_000,
        hbm_bytes=4000,
        loop_copies=7,
        loop_copy_bytes=2_000_000,
        unknown_loops=1,
    )
    return Program(
        seconds=1.25, memory_bytes=25_000_000, bundles=400_000, costs=costs, unknown_loops=2
    )


def test_row_has_a_cell_for_each_column(program):
    cells = " ".join(report.row(16, 3, program, CHIP).split())
    assert cells == "16 3 1.2 s 25.0 MB 2.5% 2.5 G 4.0 kB 0.40 M 7, 2.0 MB, 2.00 ms 0.0 M"


def test_row_for_a_chip_of_unknown_memory_has_sizes_only(program):
    row = report.row(16, 3, program, None)
    assert "25.0 MB" in row and "7, 2.0 MB" in row
    assert "%" not in row and "ms" not in row


def test_failed_row_gives_the_reason():
    row = report.failed_row(16, 3, CompileError("XLA has no AsString"))
    assert row.split(maxsplit=2) == ["16", "3", "does not compile: XLA has no AsString"]


def test_epoch_summary_divides_by_tokens_and_counts_all_cores(program):
    lines = report.epoch_summary(PLAN, {16: program, 32: program}, CHIP).splitlines()
    slots = 2 * 4 * (3 * 16 + 32)
    assert lines[1].startswith(f"Per token of an epoch, 160 tokens in {slots} slots")
    assert lines[2] == f"  {4 * 2 * 400_000 / 160:,.1f} bundles"
    assert lines[3].startswith("  100,000 bytes, 100000.0 ns in copies")
    assert lines[-1].startswith("4 small loops")
