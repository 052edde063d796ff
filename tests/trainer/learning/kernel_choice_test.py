"""The kernel that `auto` stands for, and that a step on GPUs is cuDNN's with it."""

import pytest
import tensorflow as tf

from input_pipeline import batch_plan
from input_pipeline.labels import SENTIMENTS
from tests.trainer.learning.random_reviews import VOCABULARY, make_reviews, strategy_of
from tests.trainer.model.cudnn import BACKWARD, FORWARD, is_compiled, list_a_gpu, precisions
from trainer.learning import steps, train_state
from trainer.learning.kernel_choice import choose_kernel
from trainer.learning.objectives.registry import create_objective
from trainer.machines.distribution import distribute
from trainer.model.kernels import KERNELS


@pytest.fixture
def gpu(monkeypatch):
    list_a_gpu(monkeypatch)


@pytest.fixture
def tpu(monkeypatch):
    """Puts a TPU's strategy in scope, which no test uses."""
    strategy = object.__new__(tf.distribute.TPUStrategy)
    monkeypatch.setattr(tf.distribute, "get_strategy", lambda: strategy)


@pytest.mark.parametrize("replicas", [0, 1, 2])
def test_auto_is_the_cpus_kernel_on_cpus(replicas):
    with strategy_of(replicas).scope():
        assert choose_kernel("auto") is KERNELS["cpu"]


@pytest.mark.parametrize("replicas", [1, 2])
def test_auto_is_kerass_layer_on_gpus(gpu, replicas):
    with strategy_of(replicas).scope():
        assert choose_kernel("auto") is KERNELS["keras"]


def test_auto_is_xlas_kernel_on_a_tpu(tpu):
    assert choose_kernel("auto") is KERNELS["xla"]


@pytest.mark.parametrize("name", KERNELS)
@pytest.mark.parametrize("device", [None, "gpu", "tpu"])
def test_kernel_that_is_named_is_taken_anywhere(request, device, name):
    if device:
        request.getfixturevalue(device)
    assert choose_kernel(name) is KERNELS[name]


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize("replicas", [1, 2])
def test_training_step_on_gpus_is_cudnns(config, gpu, replicas, precision):
    """Traced as on a machine with GPUs, on strategies that have CPUs in their place."""
    config.model.update(precision=precision, bidirectional=True, dropout=0.3)
    strategy, objective = strategy_of(replicas), create_objective(config, SENTIMENTS)
    with strategy.scope():
        state = train_state.create(objective, config, VOCABULARY)
    reviews = make_reviews(4 * config.train.batch_size)
    plan = batch_plan.training_plan(reviews.lengths, config.train.batch_size, 8, 0, 0)
    train = steps.make_train_steps(strategy, objective, state, config, total_steps=4)
    traced = train.get_concrete_function(distribute(strategy, reviews, plan), tf.constant(1))
    layers = len(state.model.forward) + len(state.model.backward)
    assert precisions(traced, FORWARD) == [precision] * layers * replicas
    assert precisions(traced, BACKWARD) == [precision] * layers * replicas
    assert not is_compiled(traced)
