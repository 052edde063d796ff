"""The parts that need the TPU's compiler are skipped without it: pip install -e '.[tpu-check]'."""

import importlib.util
import subprocess
import sys

import pytest
import tensorflow as tf

from storage.errors import UserError
from trainer.tpu_check import bundles, compiler, costs, hlo, step_programs

# A loop of 7 over buffers in HBM and VMEM; written by hand after the compiler's texts.
HLO = """HloModule step, is_scheduled=true

%fused_computation.1 (param_0: bf16[7,16,256], param_1: s32[]) -> bf16[16,256] {
  %param_0 = bf16[7,16,256]{2,1,0:T(8,128)(2,1)} parameter(0)
  %bitcast.1 = bf16[7,16,256]{2,1,0:T(8,128)(2,1)} bitcast(%param_0)
  %param_1 = s32[]{:T(128)} parameter(1)
  %constant.3 = s32[]{:T(128)} constant(0)
  ROOT %dynamic-slice.1 = bf16[1,16,256]{2,1,0:T(8,128)(2,1)S(1)} dynamic-slice(%bitcast.1, \
%param_1, %constant.3, /*index=3*/%constant.3), dynamic_slice_sizes={1,16,256}
}

%fused_computation.2 (param_0: bf16[16,256], param_1: f32[256,512]) -> f32[16,512] {
  %param_0 = bf16[16,256]{1,0:T(8,128)(2,1)S(1)} parameter(0)
  %param_1 = f32[256,512]{1,0:T(8,128)S(1)} parameter(1)
  ROOT %convolution.1 = f32[16,512]{1,0:T(8,128)S(1)} convolution(%param_0, %param_1), \
dim_labels=bf_io->bf
}

%body.1 (loop.1: (s32[], bf16[7,16,256], f32[16,64], s32[])) -> (s32[], bf16[7,16,256], f32[16,64], s32[]) {
  %loop.1 = (s32[]{:T(128)}, bf16[7,16,256]{2,1,0:T(8,128)(2,1)}, f32[16,64]{1,0:T(8,128)S(1)}, s32[]{:T(128)}) parameter(0)
  %i.1 = s32[]{:T(128)} get-tuple-element(%loop.1), index=0
  %buffer.1 = bf16[7,16,256]{2,1,0:T(8,128)(2,1)} get-tuple-element(%loop.1), index=1
  %state.1 = f32[16,64]{1,0:T(8,128)S(1)} get-tuple-element(%loop.1), index=2
  %end.1 = s32[]{:T(128)} get-tuple-element(%loop.1), index=3
  %kernel.1 = f32[256,512]{1,0:T(8,128)S(1)} custom-call(), custom_call_target="AllocateBuffer"
  %fusion.1 = bf16[16,256]{1,0:T(8,128)(2,1)S(1)} fusion(%buffer.1, %i.1), kind=kLoop, \
calls=%fused_computation.1, backend_config={"window_config":{"estimated_cycles":"100"}}
  %fusion.2 = f32[16,512]{1,0:T(8,128)S(1)} fusion(%fusion.1, %kernel.1), kind=kOutput, \
calls=%fused_computation.2
  %copy.1 = f32[16,64]{1,0:T(8,128)} copy(%state.1)
  %one.1 = s32[]{:T(128)} constant(1)
  %next.1 = s32[]{:T(128)S(6)} add(%i.1, %one.1)
  ROOT %tuple.1 = (s32[]{:T(128)}, bf16[7,16,256]{2,1,0:T(8,128)(2,1)}, f32[16,64]{1,0:T(8,128)S(1)}, s32[]{:T(128)}) tuple(%next.1, %buffer.1, %state.1, %end.1)
}

%condition.1 (loop.2: (s32[], bf16[7,16,256], f32[16,64], s32[])) -> pred[] {
  %loop.2 = (s32[]{:T(128)}, bf16[7,16,256]{2,1,0:T(8,128)(2,1)}, f32[16,64]{1,0:T(8,128)S(1)}, s32[]{:T(128)}) parameter(0)
  %i.2 = s32[]{:T(128)} get-tuple-element(%loop.2), index=0
  %end.2 = s32[]{:T(128)} get-tuple-element(%loop.2), index=3
  ROOT %compare.1 = pred[]{:T(512)} compare(%i.2, %end.2), direction=LT
}

ENTRY %main.1 (argument.1: bf16[7,16,256]) -> bf16[7,16,256] {
  %argument.1 = bf16[7,16,256]{2,1,0:T(8,128)(2,1)} parameter(0)
  %zero.1 = s32[]{:T(128)} constant(0)
  %seven.1 = s32[]{:T(128)} constant(7)
  %limit.1 = s32[]{:T(128)} copy(%seven.1)
  %empty.1 = f32[16,64]{1,0:T(8,128)S(1)} custom-call(), custom_call_target="AllocateBuffer"
  %tuple.2 = (s32[]{:T(128)}, bf16[7,16,256]{2,1,0:T(8,128)(2,1)}, f32[16,64]{1,0:T(8,128)S(1)}, s32[]{:T(128)}) tuple(%zero.1, %argument.1, %empty.1, %limit.1)
  %while.1 = (s32[]{:T(128)}, bf16[7,16,256]{2,1,0:T(8,128)(2,1)}, f32[16,64]{1,0:T(8,128)S(1)}, s32[]{:T(128)}) while(%tuple.2), condition=%condition.1, body=%body.1
  ROOT %result.1 = bf16[7,16,256]{2,1,0:T(8,128)(2,1)} get-tuple-element(%while.1), index=1
}
"""  # noqa: E501

# A program that calls fusion.1 in its loop, which has a loop of 3 itself; and a loop over a number
# of times that stands in a register.
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


@pytest.fixture
def hlo() -> hlo.Hlo:
    return hlo.parse(HLO)


def test_operations_of_a_loop_run_as_often_as_its_text_says(hlo):
    weights = hlo.op_weights(hlo)
    assert weights["fusion.1"] == 7
    assert weights["while.1"] == 1
    assert "convolution.1" not in weights  # part of a fusion


def test_costs_are_multiplied_by_trips_and_leave_vmem_out(hlo):
    found = costs.costs(hlo)
    assert found.estimated_cycles == 7 * 100
    assert found.flops == 7 * 2 * 16 * 256 * 512
    padded = 16 * 128 * 4  # 64 columns take the room of 128
    assert (found.waits, found.wait_bytes) == (7, 7 * padded)
    # A slice of the buffer and the copy's target in each of 7; what is 4 bytes each are scalars.
    assert 0 <= found.hbm_bytes - 7 * (16 * 256 * 2 + padded) <= 7 * 1024
    assert found.unknown_loops == 0


def test_loop_whose_end_is_data_counts_once(hlo):
    hlo = hlo.parse(HLO.replace("copy(%seven.1)", "negate(%seven.1)"))
    assert hlo.op_weights(hlo)["fusion.1"] == 1
    assert costs.costs(hlo).unknown_loops == 1


def test_bundles_are_counted_through_calls_and_loops(tmp_path):
    (tmp_path / "17-TLP-01-final_bundles.txt").write_text(PROGRAM)
    (tmp_path / "18-fusion.1-01-final_bundles.txt").write_text(FUSION)
    (tmp_path / "18-fusion.1-00-schedule-analysis_final_bundles.txt").write_text("5 bundles")
    dumps = bundles.read(tmp_path)
    assert dumps.keys() == {"TLP", "fusion.1"}
    emitted = bundles.count(dumps, {"fusion.1": 7})
    fusion = 1 + 3 * 3 + 2
    assert emitted == (2 + 7 * (4 + fusion), 1)


def test_dumps_without_a_program_are_refused():
    with pytest.raises(RuntimeError, match="TLP"):
        bundles.count({"fusion.1": FUSION}, {})


def test_failure_names_our_line_the_operation_and_the_reason():
    with tf.Graph().as_default() as graph:
        tf.constant(1.0, name="here")
    file = step_programs.__file__.lstrip("/").replace("tpu_compile", "model")
    message = (
        "Failed getting HLO text: 'Detected unsupported operations when trying to compile graph "
        "step[] on XLA_CPU_JIT: AsString (No registered 'AsString' OpKernel for XLA_CPU_JIT "
        "devices compatible with node {{node AsString}}){{node AsString}}\nThe op is created at:\n"
        f'File "{file}", line 66, in __call__\nFile "usr/lib/tensorflow/ops.py", line 3, in op'
    )
    assert step_programs.explain(message, graph) == (
        "trainer/model.py:66; AsString; XLA has no AsString"
    )
    # What this test makes lies outside of the product.
    assert step_programs.explain('bad\nop_name="here/there"', graph) == "here/there; bad"


def test_missing_compiler_is_a_user_error(monkeypatch):
    monkeypatch.setitem(sys.modules, "libtpu", None)
    with pytest.raises(UserError, match=r"pip install 'longhaul\[tpu-check\]'"):
        compiler.require_compiler()


def run(*arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, check=False
    )  # fmt: skip


def test_missing_compiler_is_said_in_one_line():
    start = (
        "import runpy, sys; sys.modules['libtpu'] = None; "
        "sys.argv = ['tpu_check', '--config=configs/sample.py']; "
        "runpy.run_module('trainer.tpu_check', run_name='__main__')"
    )
    done = run("-c", start)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ")
    assert "pip install 'longhaul[tpu-check]'" in line


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        ((), "--config: missing"),
        (("--config=configs/sample.py", "--config.train.batch_sise=3"), "train.batch_size?"),
        (("--config=configs/sample.py", "--config.train.batch_size=0"), "config.train.batch_size"),
    ],
)
def test_wrong_flag_is_said_in_one_line(flags, named):
    done = run("-m", "trainer.tpu_check", *flags)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ") and named in line


needs_compiler = pytest.mark.skipif(
    not all(map(importlib.util.find_spec, ("jax", "libtpu"))),
    reason="needs the TPU's compiler: pip install -e '.[tpu-check]'",
)


@needs_compiler
def test_small_step_compiles_and_is_reported(reviews):
    done = run(
        *("-m", "trainer.tpu_check", "--config=configs/sample.py", "--topology=v5e:2x2"),
        *(f"--config.data.source=files:{reviews}", "--config.data.cache_dir="),
        *("--config.data.max_tokens=16", "--config.data.width_step=16"),
        *("--config.model.layer_sizes=8,", "--config.train.batch_size=32"),
    )
    assert done.returncode == 0, done.stderr
    assert "4 cores of TPU v5 lite, each 8 reviews a step" in done.stdout
    assert "not measured" in done.stdout
    (row,) = [line for line in done.stdout.splitlines() if line.startswith("    16 ")]
    assert "does not compile" not in row
    assert "Per real token" in done.stdout


@needs_compiler
@pytest.mark.parametrize(
    ("flag", "named"),
    [
        ("--topology=v5e:9x9", "--topology: got 'v5e:9x9'"),
        ("--config.train.batch_size=6", "accepted is a multiple of 4"),
    ],
)
def test_what_does_not_fit_the_topology_is_said_in_one_line(flag, named):
    done = run("-m", "trainer.tpu_check", "--config=configs/sample.py", flag)
    assert done.returncode == 1
    assert named in done.stderr.splitlines()[-1]
