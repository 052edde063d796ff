"""Bundles counted in dumps, which are written by hand in the style of the compiler."""

import pytest

from trainer.tpu_check import bundles

# A program with a loop that calls fusion.1. The fusion has a loop of 3 trips, and one whose number
# of trips is in a register.
PROGRAM = """= control target key start
LB: loop body
= control target key end

     0   :  { %s1_s0 = smov.u32 0 } /* Start region 1 */
   0x1 LB: > { %s2_s1 = sphi %s1_s0, %s3_s2 } /* Start region 7 :: Start region 8 */
   0x2   : > { %9 = inlined_call %s2_s1 /* %fusion.1 = fusion(%buffer.1, %i.1) */ }
   0x3   : > { %p4_p0 = scmp.eq.s32.totalorder %s3_s2, 0 } /* End region 8 */
   0x4   :  { %5 = sbr.rel (!%p4_p0) target = $region7 }
   0x5   :  { %6 = dma.hbm_to_vmem %s9
hlo: <no-hlo-instruction>
 */ }
"""
FUSION = """
     0   :  { %s1_s0 = smov.u32 0 }
   0x1 LB: > { %s3_s2 = sadd.s32 1, %s2_s1 } /* Start region 3 */
   0x2   : > { %p4_p0 = scmp.ge.s32.totalorder %s3_s2, 3 /* loop exit test */ }
   0x3   :  { %5 = sbr.rel (!%p4_p0) target = $region3 }
   0x4 LB: > { %s7_s2 = sadd.s32 1, %s6_s1 } /* Start region 4 */
   0x5   :  { %p8_p0 = scmp.ge.s32.totalorder %s7_s2, %s6_s0  ;;  \
%5 = sbr.rel (!%p8_p0) target = $region4 }
"""


def test_bundles_are_counted_through_calls_and_loops(tmp_path):
    (tmp_path / "17-TLP-01-final_bundles.txt").write_text(PROGRAM)
    (tmp_path / "18-fusion.1-01-final_bundles.txt").write_text(FUSION)
    (tmp_path / "18-fusion.1-00-schedule-analysis_final_bundles.txt").write_text("5 bundles")
    dumps = bundles.read_dumps(tmp_path)
    assert dumps.keys() == {"TLP", "fusion.1"}
    emitted = bundles.count(dumps, {"fusion.1": 7})
    fusion = 1 + 3 * 3 + 2
    assert emitted == (2 + 7 * (4 + fusion), 1)


def test_dumps_without_a_program_are_refused():
    with pytest.raises(RuntimeError, match="TLP"):
        bundles.count({"fusion.1": FUSION}, {})
