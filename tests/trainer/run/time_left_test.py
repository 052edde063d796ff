"""The estimate of the time that a run will still take."""

import pytest

from input_pipeline import load
from input_pipeline.labels import SENTIMENTS
from tests.trainer.run.clock_test import Time
from trainer.learning.objectives.registry import create_objective
from trainer.run.time_left import TimeLeft, evaluation_work, work_left


def test_time_left_is_known_after_some_steps_and_seconds_without_the_first_step():
    time = Time()
    time_left = TimeLeft(work=41_000, now=time)
    for step in range(21):
        assert time_left.seconds() is None
        time.seconds += 60 if step == 0 else 0.25  # the first one compiles
        time_left.advance(1_000)
    assert time_left.seconds() == pytest.approx(20 * 0.25)


def test_evaluation_counts_as_work_and_is_measured():
    time = Time()
    time_left = TimeLeft(work=10_000, now=time)
    for _ in range(11):
        time.seconds += 1
        time_left.advance(100)
    time.seconds += 10
    time_left.advance(900)
    assert time_left.seconds() == pytest.approx(8_000 * 20 / 1_900)


def test_work_left_at_each_step_is_what_the_steps_will_count(config):
    config.data.source = "sample"
    data = load.load_training_data(config.data, load.make_encoding(config.data))
    steps = data.train.steps_per_epoch(config.train.batch_size)
    objective = create_objective(config, SENTIMENTS)
    test = work_left(config, data, objective, steps, config.train.epochs * steps)
    assert test == pytest.approx(data.test.lengths.clip(max=config.data.max_tokens).sum() / 3)
    epoch = data.train.examples.lengths.sum() + evaluation_work(data.validation)
    for step, epochs in ((0, 2), (steps, 1)):
        left = work_left(config, data, objective, steps, step)
        assert left == pytest.approx(test + epochs * epoch, rel=0.02)


def test_work_of_further_loss_terms_counts_from_the_epoch_in_which_they_join(config):
    config.data.update(
        source="sample",
        unlabelled_split="unlabelled",
        unlabelled_batch_size=config.train.batch_size,
    )
    config.objective.terms.virtual_adversarial = 1.0
    config.objective.terms_after_epochs = 1
    data = load.load_training_data(config.data, load.make_encoding(config.data))
    steps, objective = 10, create_objective(config, SENTIMENTS)
    start, middle, end = (
        work_left(config, data, objective, steps, step) for step in (0, steps, 2 * steps)
    )
    evaluation = evaluation_work(data.validation)
    first, second = start - middle - evaluation, middle - end - evaluation
    # The second epoch reads as many reviews beside the labelled ones.
    labelled, beside = len(data.train), steps * config.data.unlabelled_batch_size
    assert second * labelled == pytest.approx(first * (labelled + beside) * (1 + 7 / 3))
