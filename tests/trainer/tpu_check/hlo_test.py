"""Parsed programs: how often each instruction runs."""

from tests.trainer.tpu_check.hlo_text import HLO
from trainer.tpu_check import hlo


def test_instructions_of_a_loop_run_as_often_as_its_text_says():
    runs = hlo.instruction_runs(hlo.parse(HLO))
    assert runs["fusion.1"] == 7
    assert runs["while.1"] == 1
    assert "convolution.1" not in runs  # part of a fusion


def test_arrays_have_the_size_of_their_tiles_and_their_memory_space():
    module = hlo.parse(HLO)
    (state,) = module.computations["body.1"]["state.1"].arrays
    assert state == hlo.Array((16, 64), 16 * 128 * 4, 1)  # 64 columns fill a tile of 128
    (copy,) = module.computations["body.1"]["copy.1"].arrays
    assert copy.memory_space == 0


def test_loop_whose_end_is_data_counts_as_one_trip():
    module = hlo.parse(HLO.replace("copy(%seven.1)", "negate(%seven.1)"))
    assert hlo.instruction_runs(module)["fusion.1"] == 1
    _, unknown_loops = hlo.executions(module)
    assert unknown_loops == 1
