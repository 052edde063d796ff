"""Explanations of steps that do not compile."""

import tensorflow as tf

from trainer.tpu_check import step_programs


def test_explanation_names_our_line_the_operation_and_the_reason():
    with tf.Graph().as_default() as graph:
        tf.constant(1.0, name="here")
    file = step_programs.__file__.lstrip("/").replace("tpu_check/step_programs", "model/network")
    message = (
        "Failed getting HLO text: 'Detected unsupported operations when trying to compile graph "
        "step[] on XLA_CPU_JIT: AsString (No registered 'AsString' OpKernel for XLA_CPU_JIT "
        "devices compatible with node {{node AsString}}){{node AsString}}\nThe op is created at:\n"
        f'File "{file}", line 66, in __call__\nFile "usr/lib/tensorflow/ops.py", line 3, in op'
    )
    assert step_programs.explain(message, graph) == (
        "trainer/model/network.py:66; AsString; XLA has no AsString"
    )
    # The operation of this test was not made in the product.
    assert step_programs.explain('bad\nop_name="here/there"', graph) == "here/there; bad"
