import numpy as np
import pytest
import tensorflow as tf

from input_pipeline import batch_plan
from input_pipeline.examples import Examples
from input_pipeline.labels import SENTIMENTS
from tests.trainer.learning.random_reviews import VOCABULARY, make_reviews, strategy_of
from trainer.learning import steps, train_state
from trainer.learning.objectives.objective import train_metric_names
from trainer.learning.objectives.registry import create_objective
from trainer.machines.distribution import distribute

STEPS = 50


def create_state(config):
    return train_state.create(create_objective(config, SENTIMENTS), config, VOCABULARY)


def train(
    config,
    replicas=1,
    per_call=1,
    count=STEPS,
    change=lambda state: None,
    widths=(),
    width_step=8,
):
    """Trains an epoch of `count` steps. Returns a StepResult of all steps, and the state."""
    strategy, objective = strategy_of(replicas), create_objective(config, SENTIMENTS)
    # One batch is not full, so some replicas get only rows of weight 0 in that step.
    reviews = make_reviews((count - 1) * config.train.batch_size + 3)
    plan = batch_plan.training_plan(reviews.lengths, config.train.batch_size, width_step, 0, 0)
    with strategy.scope():
        state = create_state(config)
    change(state)
    train_steps = steps.make_train_steps(strategy, objective, state, config, count, widths)
    iterator = distribute(strategy, reviews, plan)
    calls = [per_call] * (count // per_call) + [1] * (count % per_call)
    results = [train_steps(iterator, tf.constant(n)) for n in calls]
    assert train_steps.experimental_get_tracing_count() == 1
    return steps.StepResult(*map(np.concatenate, zip(*results, strict=True))), state


def loss_sums(result) -> np.ndarray:
    """The loss of each step as a sum over its reviews, <float32>[steps]."""
    return result.metrics[:, 0, 0]


def numbers(state) -> list[np.ndarray]:
    """Weights and moments of a state, as the first replica holds them."""
    variables = (*state.model.weights, *state.optimizer.first, *state.optimizer.second)
    return [variable.numpy() for variable in variables]


@pytest.fixture(scope="module")
def shipped():
    """The config of `configs/imdb.py` with a small network, and a norm that clips gradients."""
    from configs import imdb

    config = imdb.get_config()
    config.model.update(embedding_size=8, layer_sizes=(8, 4), dropout=0.3)
    config.train.batch_size = 16
    config.train.slices = 4
    config.optimizer.clip_norm = 0.05
    return config


@pytest.fixture(scope="module")
def one_replica(shipped):
    return train(shipped)


@pytest.mark.parametrize("replicas", [2, pytest.param(4, marks=pytest.mark.slow)])
def test_same_slices_give_the_same_bits_on_any_number_of_replicas(shipped, one_replica, replicas):
    result, state = train(shipped, replicas)
    expected, expected_state = one_replica
    assert (expected.gradient_norm > shipped.optimizer.clip_norm).sum() >= 10
    for name in ("metrics", "gradient_norm", "learning_rate"):
        assert getattr(result, name).tobytes() == getattr(expected, name).tobytes()
    for a, b in zip(numbers(state), numbers(expected_state), strict=True):
        assert a.tobytes() == b.tobytes()


def test_collective_order_of_sums_gives_the_same_training(shipped, one_replica):
    config = shipped.copy_and_resolve_references()
    config.strategy.reduction = "ring"
    result, _ = train(config, replicas=2)
    np.testing.assert_allclose(loss_sums(result), loss_sums(one_replica[0]), rtol=1e-4)


@pytest.mark.parametrize("replicas", [pytest.param(0, marks=pytest.mark.slow), 1, 2])
def test_one_and_eight_steps_per_call_are_equal_to_the_bit(shipped, one_replica, replicas):
    result, state = train(shipped, replicas, per_call=8)
    expected, expected_state = one_replica if replicas == 1 else train(shipped, replicas)
    np.testing.assert_array_equal(result.metrics, expected.metrics)
    for a, b in zip(numbers(state), numbers(expected_state), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("slices", [1, 4, pytest.param(8, marks=pytest.mark.slow)])
def test_number_of_slices_does_not_change_the_training(shipped, one_replica, slices):
    config = shipped.copy_and_resolve_references()
    config.train.slices = slices
    result, _ = train(config)
    np.testing.assert_allclose(loss_sums(result), loss_sums(one_replica[0]), rtol=1e-4)


def test_loss_is_the_weighted_mean_over_the_global_batch(config):
    """Rows without a review do not count: a step on 3 of 16 rows equals a step on 3 of 3."""
    config.model.dropout = 0.0
    config.optimizer.clip_norm = 0.0
    result, state = train(config, count=1)
    config.train.batch_size = 3
    expected, expected_state = train(config, count=1)
    np.testing.assert_array_equal(result.metrics[0, :, 1], [3, 3])
    np.testing.assert_allclose(result.metrics, expected.metrics, rtol=1e-6)
    np.testing.assert_allclose(result.gradient_norm, expected.gradient_norm, rtol=1e-5)
    for a, b in zip(numbers(state), numbers(expected_state), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


def test_gradient_is_that_of_the_mean_loss(config):
    """Compares with TensorFlow's gradient of the plain mean and TensorFlow's own clipping."""
    config.model.dropout = 0.0
    config.optimizer.update(clip_norm=0.01, beta1=0.0, beta2=0.5)
    result, state = train(config, count=1)
    reviews = make_reviews(3)
    fresh = create_state(config).model
    labels, lengths = tf.cast(reviews.labels, tf.float32), tf.cast(reviews.lengths, tf.int32)
    with tf.GradientTape() as tape:
        logits = fresh.logits(fresh.inputs(reviews.tokens.to_tensor()), lengths)
        loss = tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(labels, logits))
    gradients = [tf.convert_to_tensor(g) for g in tape.gradient(loss, fresh.weights)]
    clipped, norm = tf.clip_by_global_norm(gradients, 0.01)
    assert train_metric_names(create_objective(config, SENTIMENTS)) == ("loss", "accuracy")
    np.testing.assert_allclose(result.metrics[0, 0], [3 * loss, 3], rtol=1e-5)
    correct = ((logits > 0).numpy() == reviews.labels).sum()
    np.testing.assert_array_equal(result.metrics[0, 1], [correct, 3])
    np.testing.assert_allclose(result.gradient_norm[0], norm, rtol=1e-4)
    for moment, gradient in zip(state.optimizer.first, clipped, strict=True):
        np.testing.assert_allclose(moment, gradient, rtol=1e-3, atol=1e-8)


def with_token_in_one_review(reviews, row):
    """The reviews with token VOCABULARY - 1 at the start of one of them and nowhere else."""
    tokens = [
        [min(token, VOCABULARY - 2) for token in review] for review in reviews.tokens.to_list()
    ]
    tokens[row][0] = VOCABULARY - 1
    return Examples(tf.ragged.constant(tokens, tf.int32), reviews.labels)


@pytest.mark.parametrize("replicas", [1, 2])
def test_overflow_on_one_replica_skips_the_update_on_all(config, replicas):
    config.model.update(precision="float16", dropout=0.0)
    reviews = make_reviews(16)
    plan = batch_plan.evaluation_plan(reviews.lengths, 16, 8)
    strategy, objective = strategy_of(replicas), create_objective(config, SENTIMENTS)
    with strategy.scope():
        state = create_state(config)
    # Only the last row has this token, whose large embedding overflows float16.
    reviews = with_token_in_one_review(reviews, row=int(plan.ids[0, -1]))
    table = state.model.embedding.embeddings.value
    table.assign(tf.tensor_scatter_nd_update(table, [[VOCABULARY - 1]], [[1e5] * 8]))
    before = [w.numpy() for w in state.model.weights]
    train_steps = steps.make_train_steps(strategy, objective, state, config, total_steps=10)
    result = train_steps(distribute(strategy, reviews, plan), tf.constant(1))
    assert not np.isfinite(result.gradient_norm[0])
    for weight, old in zip(state.model.weights, before, strict=True):
        for copy in strategy.experimental_local_results(weight):
            np.testing.assert_array_equal(copy.numpy(), old)
    assert state.loss_scale.numpy() == 2.0**14
    assert state.optimizer.updates.numpy() == 0
    assert state.step.numpy() == 1
    # The next step, without an overflow, updates again.
    table.assign(tf.tensor_scatter_nd_update(table, [[VOCABULARY - 1]], [[0.01] * 8]))
    result = train_steps(distribute(strategy, reviews, plan), tf.constant(1))
    assert np.isfinite(result.gradient_norm[0])
    assert state.optimizer.updates.numpy() == 1


def test_loss_scale_does_not_change_the_numbers(config):
    config.model.dropout = 0.0
    expected, _ = train(config, count=10)
    scaled, _ = train(config, count=10, change=lambda state: state.loss_scale.assign(2.0**12))
    np.testing.assert_array_equal(scaled.metrics, expected.metrics)
    np.testing.assert_array_equal(scaled.gradient_norm, expected.gradient_norm)


def test_loss_scale_doubles_after_2000_steps_without_overflow(config):
    config.model.update(precision="float16", dropout=0.0)
    _, state = train(config, count=2, change=lambda state: state.steps_since_overflow.assign(1998))
    assert state.loss_scale.numpy() == 2.0**16
    assert state.steps_since_overflow.numpy() == 0


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_mixed_precision_learns_as_float32_does(config, precision):
    expected, _ = train(config, count=30)
    config.model.precision = precision
    result, _ = train(config, count=30)
    np.testing.assert_allclose(loss_sums(result), loss_sums(expected), rtol=0.02)


def test_average_follows_the_weights(config):
    config.train.average_decay = 0.75
    _, state = train(config, count=1)
    start = create_state(config).model.weights
    for mean, weight, first in zip(state.average.weights, state.model.weights, start, strict=True):
        decay = 2 / 11  # the decay of the first update, which is below 0.75
        np.testing.assert_allclose(mean, decay * first + (1 - decay) * weight, atol=1e-6)
    assert state.evaluated is state.average


def moved(network, start):
    """The depths below the head at which a weight differs from that of the network `start`."""
    rows = zip(network.depths, network.weights, start.weights, strict=True)
    return {depth for depth, weight, old in rows if not np.array_equal(weight, old)}


def test_layers_join_one_by_one_on_any_number_of_replicas(config):
    config.model.layer_sizes = (4,)
    config.train.update(average_decay=0.9, slices=2)
    config.optimizer.update(layer_decay=0.5, unfreeze_steps=4, name="adamw", weight_decay=0.1)
    result, state = train(config, count=8)
    start = create_state(config).model
    assert moved(state.model, start) == moved(state.average, start) == {0, 1}
    shared, shared_state = train(config, replicas=2, count=8)
    assert shared.metrics.tobytes() == result.metrics.tobytes()
    for a, b in zip(numbers(shared_state), numbers(state), strict=True):
        assert a.tobytes() == b.tobytes()


def test_steps_that_an_overflow_skips_do_not_bring_a_layer_closer(config):
    config.model.update(precision="float16", dropout=0.0, layer_sizes=(4,))
    config.optimizer.unfreeze_steps = 5
    # The gradients of the LSTM layer overflow, which counts from step 5 on; the head's are float32.
    _, state = train(config, count=12, change=lambda state: state.loss_scale.assign(2.0**50))
    assert state.optimizer.updates == 5
    assert state.loss_scale == 2.0**43
    assert moved(state.model, create_state(config).model) == {0}


@pytest.mark.parametrize("replicas", [pytest.param(1, marks=pytest.mark.slow), 2])
def test_steps_of_static_shape_compute_the_same(config, replicas):
    config.train.batch_size = 16
    free, _ = train(config, replicas, count=20, width_step=20)
    fixed, state = train(config, replicas, count=20, width_step=20, widths=(20, 40))
    np.testing.assert_allclose(loss_sums(fixed), loss_sums(free), rtol=1e-6)
    assert state.step.numpy() == 20


def test_kernels_compute_the_same_steps(config):
    config.train.batch_size = 16
    config.model.kernel = "keras"
    keras, _ = train(config, count=20)
    config.model.kernel = "xla"
    xla, _ = train(config, count=20)
    np.testing.assert_allclose(loss_sums(xla), loss_sums(keras), rtol=1e-4)
