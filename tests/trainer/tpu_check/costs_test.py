"""Costs of parsed programs."""

from tests.trainer.tpu_check.hlo_text import HLO
from trainer.tpu_check import costs, hlo


def test_costs_are_multiplied_by_trips_and_leave_vmem_out():
    found = costs.program_costs(hlo.parse(HLO))
    assert found.estimated_cycles == 7 * 100
    assert found.flops == 7 * 2 * 16 * 256 * 512
    padded = 16 * 128 * 4  # 64 columns fill a tile of 128
    assert (found.loop_copies, found.loop_copy_bytes) == (7, 7 * padded)
    # Each trip reads a slice of the buffer and writes the copy; the rest are scalars of 4 bytes.
    assert 0 <= found.hbm_bytes - 7 * (16 * 256 * 2 + padded) <= 7 * 1024
    assert found.unknown_loops == 0


def test_unknown_loops_are_counted():
    found = costs.program_costs(hlo.parse(HLO.replace("copy(%seven.1)", "negate(%seven.1)")))
    assert found.unknown_loops == 1
    assert found.estimated_cycles == 100
