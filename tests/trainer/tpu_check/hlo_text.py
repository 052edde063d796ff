"""A loop of 7 trips over buffers in HBM and VMEM, written by hand in the style of the compiler."""

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
