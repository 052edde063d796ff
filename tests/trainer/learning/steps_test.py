import functools

import numpy as np
import pytest
import tensorflow as tf

from input_pipeline import batch_plan
from input_pipeline.examples import Examples
from trainer.learning import steps, train_state
from trainer.machines.strategy import distribute

VOCABULARY = 100
STEPS = 50


def make_reviews(count: int) -> Examples:
    """Random reviews of 1 to 40 words whose label is the parity of their first word."""
    generator = np.random.default_rng(0)
    lengths = generator.integers(1, 41, count)
    tokens = generator.integers(1, VOCABULARY, lengths.sum()).astype(np.int32)
    ragged = tf.RaggedTensor.from_row_lengths(tokens, lengths)
    first_words = tokens[np.cumsum(lengths) - lengths]
    labels = (first_words % 2).astype(np.int32)
    return Examples(ragged, labels)


@functools.cache  # TensorFlow takes one of a kind in a process
def strategy_of(replicas: int) -> tf.distribute.Strategy:
    if replicas == 0:
        return tf.distribute.OneDeviceStrategy("CPU:0")
    if replicas == 1:
        return tf.distribute.get_strategy()
    # TensorFlow's collectives take groups of one size only in a process, so four go without them.
    reduction = tf.distribute.ReductionToOneDevice() if replicas == 4 else None
    return tf.distribute.MirroredStrategy([f"CPU:{i}" for i in range(replicas)], reduction)


def train(
    config,
    replicas=1,
    per_call=1,
    count=STEPS,
    change=lambda state: None,
    widths=(),
    width_step=8,
):
    """History StepMetrics of [count] and the state after `count` steps of one epoch."""
    strategy = strategy_of(replicas)
    # The last of the steps is not full, so some replicas get rows of weight 0 only.
    reviews = make_reviews(count * config.train.batch_size - config.train.batch_size + 3)
    plan = batch_plan.training_plan(reviews.lengths, config.train.batch_size, width_step, 0, 0)
    with strategy.scope():
        state = train_state.create(config, VOCABULARY)
    change(state)
    train_steps = steps.make_train_steps(strategy, state, config, count, widths)
    iterator = distribute(strategy, reviews, plan)
    calls = [per_call] * (count // per_call) + [1] * (count % per_call)
    histories = [train_steps(iterator, tf.constant(n)) for n in calls]
    assert train_steps.experimental_get_tracing_count() == 1
    history = [np.concatenate(parts) for parts in zip(*histories, strict=True)]
    return steps.StepMetrics(*history), state


def numbers(state) -> list[np.ndarray]:
    """All numbers of a state, as the first replica holds them."""
    variables = (*state.model.weights, *state.optimizer.first, *state.optimizer.second)
    return [variable.numpy() for variable in variables]


@pytest.fixture(scope="module")
def shipped():
    """The config of `configs/imdb.py` with a small network, and a clip that is active."""
    from configs import imdb

    config = imdb.get_config()
    config.model.update(embedding_size=8, layer_sizes=(8, 4), dropout=0.3)
    config.train.batch_size = 16
    config.optimizer.clip_norm = 0.05
    return config


@pytest.fixture(scope="module")
def one_replica(shipped):
    return train(shipped)


@pytest.mark.parametrize("replicas", [2, 4])
def test_replica_count_does_not_change_the_run(shipped, one_replica, replicas):
    history, state = train(shipped, replicas)
    expected, expected_state = one_replica
    assert (expected.gradient_norm > shipped.optimizer.clip_norm).sum() >= 10
    assert history.weight.tolist() == expected.weight.tolist()
    np.testing.assert_allclose(history.loss_sum, expected.loss_sum, rtol=1e-4)
    for a, b in zip(numbers(state), numbers(expected_state), strict=True):
        np.testing.assert_allclose(a, b, atol=2e-4)


@pytest.mark.parametrize("replicas", [0, 1, 2])
def test_one_and_eight_steps_per_call_are_equal_to_the_bit(shipped, one_replica, replicas):
    history, state = train(shipped, replicas, per_call=8)
    expected, expected_state = one_replica if replicas == 1 else train(shipped, replicas)
    np.testing.assert_array_equal(history.loss_sum, expected.loss_sum)
    for a, b in zip(numbers(state), numbers(expected_state), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("replicas", [1, 2])
def test_micro_batches_do_not_change_the_run(shipped, one_replica, replicas):
    config = shipped.copy_and_resolve_references()
    config.train.micro_batches = 2
    history, _ = train(config, replicas, count=STEPS)
    np.testing.assert_allclose(history.loss_sum, one_replica[0].loss_sum, rtol=1e-4)


def test_loss_is_the_weighted_mean_over_the_global_batch(config):
    """Rows without a review count for nothing: one step on 3 of 16 rows is a step on 3."""
    config.model.dropout = 0.0
    config.optimizer.clip_norm = 0.0
    history, state = train(config, count=1)
    config.train.batch_size = 3
    expected, expected_state = train(config, count=1)
    assert history.weight[0] == 3
    np.testing.assert_allclose(history.loss_sum, expected.loss_sum, rtol=1e-6)
    np.testing.assert_allclose(history.gradient_norm, expected.gradient_norm, rtol=1e-5)
    for a, b in zip(numbers(state), numbers(expected_state), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


def test_gradient_is_that_of_the_mean_loss(config):
    """Against TensorFlow's own gradient of the plain mean, clipped by its own function."""
    config.model.dropout = 0.0
    config.optimizer.update(clip_norm=0.01, beta1=0.0, beta2=0.5)
    history, state = train(config, count=1)
    reviews = make_reviews(3)
    fresh = train_state.create(config, VOCABULARY).model
    with tf.GradientTape() as tape:
        logits = fresh(reviews.tokens.to_tensor(), tf.cast(reviews.lengths, tf.int32))
        loss = tf.reduce_mean(
            tf.nn.sigmoid_cross_entropy_with_logits(tf.cast(reviews.labels, tf.float32), logits)
        )
    gradients = [tf.convert_to_tensor(g) for g in tape.gradient(loss, fresh.weights)]
    clipped, norm = tf.clip_by_global_norm(gradients, 0.01)
    np.testing.assert_allclose(history.loss_sum[0] / 3, loss, rtol=1e-5)
    np.testing.assert_allclose(history.gradient_norm[0], norm, rtol=1e-4)
    for moment, gradient in zip(state.optimizer.first, clipped, strict=True):
        np.testing.assert_allclose(moment, gradient, rtol=1e-3, atol=1e-8)


@pytest.mark.parametrize("replicas", [1, 2])
def test_overflow_on_one_replica_skips_the_update_on_all(config, replicas):
    config.model.update(precision="float16", dropout=0.0)
    reviews = make_reviews(16)
    plan = batch_plan.evaluation_plan(reviews.lengths, 16, 8)
    strategy = strategy_of(replicas)
    with strategy.scope():
        state = train_state.create(config, VOCABULARY)
    # A word that only the last row has, and whose huge weights overflow float16 there.
    last = int(plan.ids[0, -1])
    tokens = reviews.tokens.to_list()
    tokens[last][0] = VOCABULARY - 1
    others = [[min(t, VOCABULARY - 2) for t in row] for i, row in enumerate(tokens) if i != last]
    others.insert(last, tokens[last])
    reviews = Examples(tf.ragged.constant(others, tf.int32), reviews.labels)
    table = state.model.embedding.embeddings.value
    table.assign(tf.tensor_scatter_nd_update(table, [[VOCABULARY - 1]], [[1e5] * 8]))
    before = [w.numpy() for w in state.model.weights]
    train_steps = steps.make_train_steps(strategy, state, config, total_steps=10)
    history = train_steps(distribute(strategy, reviews, plan), tf.constant(1))
    assert not np.isfinite(history.gradient_norm[0])
    for weight, old in zip(state.model.weights, before, strict=True):
        for copy in strategy.experimental_local_results(weight):
            np.testing.assert_array_equal(copy.numpy(), old)
    assert state.loss_scale.numpy() == 2.0**14
    assert state.optimizer.updates.numpy() == 0
    assert state.step.numpy() == 1
    # Without the overflow, the next step goes on.
    table.assign(tf.tensor_scatter_nd_update(table, [[VOCABULARY - 1]], [[0.01] * 8]))
    history = train_steps(distribute(strategy, reviews, plan), tf.constant(1))
    assert np.isfinite(history.gradient_norm[0])
    assert state.optimizer.updates.numpy() == 1


def test_loss_scale_does_not_change_the_numbers(config):
    config.model.dropout = 0.0
    expected, _ = train(config, count=10)
    scaled, _ = train(config, count=10, change=lambda state: state.loss_scale.assign(2.0**12))
    np.testing.assert_array_equal(scaled.loss_sum, expected.loss_sum)
    np.testing.assert_array_equal(scaled.gradient_norm, expected.gradient_norm)


def test_loss_scale_doubles_after_long_without_overflow(config):
    config.model.update(precision="float16", dropout=0.0)

    def nearly_there(state):
        state.steps_since_overflow.assign(1998)

    _, state = train(config, count=2, change=nearly_there)
    assert state.loss_scale.numpy() == 2.0**16
    assert state.steps_since_overflow.numpy() == 0


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_mixed_precision_learns_as_float32_does(config, precision):
    expected, _ = train(config, count=30)
    config.model.precision = precision
    history, _ = train(config, count=30)
    np.testing.assert_allclose(history.loss_sum, expected.loss_sum, rtol=0.02)


def test_average_follows_the_weights(config):
    config.train.average_decay = 0.75
    _, state = train(config, count=1)
    start = train_state.create(config, VOCABULARY).model.weights
    for mean, weight, first in zip(state.average.weights, state.model.weights, start, strict=True):
        decay = 2 / 11  # of the first update, as 0.75 is more
        np.testing.assert_allclose(mean, decay * first + (1 - decay) * weight, atol=1e-6)
    assert state.evaluated is state.average


def test_logits_come_in_the_order_of_the_plan(config):
    reviews = make_reviews(24)
    plan = batch_plan.evaluation_plan(reviews.lengths, 8, 8)
    expected = None
    for replicas in (1, 2):
        strategy = strategy_of(replicas)
        with strategy.scope():
            model = train_state.create(config, VOCABULARY).model
        logits = steps.make_logits(strategy, model)
        rows = [logits(batch).numpy() for batch in distribute(strategy, reviews, plan)]
        expected = rows if expected is None else expected
        np.testing.assert_allclose(rows, expected, atol=1e-6)


@pytest.mark.parametrize("replicas", [1, 2])
def test_forms_of_static_shape_do_the_same_steps(config, replicas):
    config.train.batch_size = 16
    free, _ = train(config, replicas, count=20, width_step=20)
    # Each width is a trace of its own.
    fixed, state = train(config, replicas, count=20, width_step=20, widths=(20, 40))
    np.testing.assert_allclose(fixed.loss_sum, free.loss_sum, rtol=1e-6)
    assert state.step.numpy() == 20


def test_kernels_do_the_same_steps(config):
    config.train.batch_size = 16
    config.model.kernel = "keras"
    keras, _ = train(config, count=20)
    config.model.kernel = "xla"
    xla, _ = train(config, count=20)
    np.testing.assert_allclose(xla.loss_sum, keras.loss_sum, rtol=1e-4)
