"""The plan of the programs, and explanations of steps that do not compile."""

import pytest
import tensorflow as tf

from configs import sample
from storage.errors import UserError
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


def test_plan_counts_the_reviews_without_labels_that_are_beside_each_batch():
    config = sample.get_config()
    alone = step_programs.read_plan(config, cores=2)
    config.data.update(unlabelled_split="unlabelled", unlabelled_batch_size=32)
    plan = step_programs.read_plan(config, cores=2)
    assert plan.reviews_per_core == alone.reviews_per_core + 16
    step = config.data.width_step
    assert all(width % step == 0 and width <= config.data.max_tokens for width in plan.widths)
    config.data.unlabelled_batch_size = 33
    with pytest.raises(
        UserError, match=r"^config\.data\.unlabelled_batch_size: got 33, accepted is"
    ):
        step_programs.read_plan(config, cores=2)
