"""What stands out in a run: each sentence where the numbers bear it, and not elsewhere."""

import numpy as np
import pytest

from tests.trainer.pages.records import epochs, line, record_of
from tests.trainer.run.results import random_results, results_of
from trainer.pages.findings import findings


def texts(record):
    return [f"{finding.text} {finding.fields}" for finding in findings(record)]


def results_with(right, shares, labels, **changes):
    """Results with a confidence for each review, right or not."""
    labels, confidence = np.int32(labels), np.float32(shares)
    predicted = np.where(right, labels, 1 - labels)
    pairs = np.stack([1 - confidence, confidence], axis=1)
    pairs[predicted == 0] = pairs[predicted == 0, ::-1]
    count = len(labels)
    lengths = {"lengths": np.full(count, 10, np.int32), "unknown": np.zeros(count, np.int32)}
    return results_of(probabilities=pairs, labels=labels, mistakes=(), **{**lengths, **changes})


def calm(**changes):
    """Results in which nothing stands out: 80 % right of both labels, with that probability."""
    right = np.arange(400) % 5 > 0
    return results_with(right, np.full(400, 0.8), np.arange(400) % 2, **changes)


LEARNT = ((0.6, 0.5, 0.8), (0.4, 0.4, 0.8))
STEADY = epochs([*LEARNT, (0.39, 0.399, 0.8)], start=1, seconds=60)


def test_nothing_stands_out_in_a_run_without_a_fault():
    assert texts(record_of(STEADY, calm())) == []


@pytest.mark.parametrize(
    ("losses", "beginning"),
    [
        (
            [*LEARNT, (0.3, 0.45, 0.8), (0.2, 0.5, 0.79)],
            "Overfitting since epoch 2: up to epoch 4 the validation loss rose from 0.400 to "
            "0.500 while the training loss fell from 0.400 to 0.200. model.dropout",
        ),
        (
            [*LEARNT, (0.35, 0.3, 0.85)],
            "Still improving at the end: in the last epoch the validation loss fell from 0.400 to "
            "0.300, and no epoch was better. train.epochs (more)",
        ),
    ],
)
def test_course_of_the_epochs(losses, beginning):
    (text,) = texts(record_of(epochs(losses, start=1, seconds=60), calm()))
    assert text.startswith(beginning)


@pytest.mark.parametrize(
    "losses",
    [
        [*LEARNT, (0.45, 0.45, 0.8)],  # the training loss rose too
        [*LEARNT, (0.3, 0.405, 0.8)],  # by 1 %
    ],
)
def test_loss_that_rises_is_not_always_overfitting(losses):
    assert texts(record_of(epochs(losses, start=1, seconds=60), calm())) == []


def test_term_that_joins_does_not_hide_that_the_loss_of_the_labels_falls():
    losses = [*LEARNT, (0.9, 0.45, 0.8), (0.8, 0.5, 0.79)]  # with the term from epoch 3 on
    lines = epochs(losses, start=1, seconds=60)
    own = {30: 0.3, 40: 0.2}
    lines = [
        record._replace(values={**record.values, "classification": own[record.step]})
        if record.kind == "epoch" and record.step in own
        else record
        for record in lines
    ]
    (text,) = texts(record_of(lines, calm(), objective__name="classification"))
    assert text.startswith(
        "Overfitting since epoch 2: up to epoch 4 the validation loss rose from 0.400 to 0.500 "
        "while the training loss fell from 0.400 to 0.200."
    )


def test_run_in_progress_is_not_said_to_end():
    record = record_of(epochs([*LEARNT, (0.35, 0.3, 0.85)]), tested=False)
    assert texts(record) == []


def test_training_accuracy_above_that_of_the_validation():
    last = [
        line("validation", 40, loss=0.4, accuracy=0.8),
        line("epoch", 40, loss=0.38, accuracy=0.86),
    ]
    # An epoch of 640 reviews goes with about 56 to validate, one of 6,400 with about 557.
    assert texts(record_of([*STEADY, *last], calm(), train__batch_size=64)) == []
    (text,) = texts(record_of([*STEADY, *last], calm(), train__batch_size=640))
    assert text.startswith("The training reviews are known better than others: in the last epoch")
    assert "0.860, that of the validation 0.800" in text


def test_clipped_gradients_are_counted():
    norms = [0.5, 0.5, 2.0, 3.0, float("nan")]
    lines = [line("train", step, gradient_norm=norm) for step, norm in enumerate(norms)]
    (text,) = texts(record_of(lines, calm()))
    assert text == (
        "The gradient was clipped to the norm 1 in 50% of the 4 logged steps; its median norm is "
        "1.2. optimizer.clip_norm or optimizer.learning_rate"
    )
    assert texts(record_of(lines, calm(), optimizer__clip_norm=0.0)) == []
    assert (
        "The gradient overflowed in 20%"
        in texts(record_of(lines, calm(), optimizer__clip_norm=0.0, model__precision="float16"))[0]
    )


def test_padding_input_wait_and_the_largest_other_cause():
    time = {"training": 0.5, "start": 0.4, "input wait": 0.1}
    lines = [line("epoch", 10, time, padding=0.2, seconds=10, start=1)]
    found = texts(record_of(lines, data__cache_dir=""))
    assert found == [
        "20% of the token slots of training are padding. data.width_step (smaller than 16)",
        "Only 50% of the time was training; the largest other part was starting, 40%. "
        "data.cache_dir, which keeps tokenised reviews from one start to the next",
        "Training waited for its input for 10% of the time. data.cache_dir, or a machine with "
        "more CPU cores to prepare batches",
    ]


def test_cache_that_is_on_is_not_advised():
    time = {"training": 0.5, "start": 0.5}
    assert texts(record_of([line("epoch", 10, time)])) == [
        "Only 50% of the time was training; the largest other part was starting, 50%. "
    ]


def test_cut_reviews_and_their_accuracy():
    right = np.arange(400) >= 40
    lengths = np.where(np.arange(400) < 100, 900, 100).astype(np.int32)
    results = results_with(right, np.full(400, 0.9), np.arange(400) % 2, lengths=lengths)
    (text,) = texts(record_of(STEADY, results))
    assert text == (
        "25.0% of the test reviews are longer than 512 tokens and are cut: their accuracy is "
        "0.600, that of the others 1.000, more than chance explains. data.max_tokens (more) or "
        "data.keep"
    )


def test_cut_reviews_that_do_as_well_as_others():
    lengths = np.where(np.arange(400) < 10, 900, 100).astype(np.int32)
    (text,) = texts(record_of(STEADY, calm(lengths=lengths)))
    assert "their accuracy is 0.800, that of the others 0.800, which chance may explain" in text


def test_unknown_tokens():
    (text,) = texts(record_of(STEADY, calm(unknown=np.full(400, 1, np.int32))))
    assert text == (
        "10.0% of the tokens of the test reviews are not in the vocabulary. data.vocabulary_size "
        "(more than 20,000)"
    )


@pytest.mark.parametrize(
    ("share", "smoothing", "beginning", "end"),
    [
        (0.99, 0.0, "Overconfident: the predicted labels have a probability of 0.990", "(fewer)"),
        (0.6, 0.1, "Underconfident: the predicted labels have a probability of 0.600", "(smaller)"),
        (0.6, 0.0, "Underconfident: the predicted labels have a probability of 0.600", "(more)"),
    ],
)
def test_probabilities_that_are_off(share, smoothing, beginning, end):
    right = np.arange(400) % 5 > 0
    results = results_with(right, np.full(400, share), np.arange(400) % 2)
    (text,) = texts(record_of(STEADY, results, train__label_smoothing=smoothing))
    assert text.startswith(beginning)
    assert text.endswith(end)


def test_guess_is_compared_with_the_most_frequent_label():
    right = np.arange(400) % 2 > 0
    results = results_with(right, np.full(400, 0.5001), np.int32(np.arange(400) % 4 > 1))
    (text,) = texts(record_of(STEADY, results))
    assert text.startswith(
        "No better than a guess: 0.500 of the reviews are right, and always saying 'negative' "
        "would get 0.500."
    )


def test_accuracy_that_chance_lifts_above_a_guess_is_not_called_a_guess():
    right = np.arange(20) < 13
    results = results_with(right, np.full(20, 0.65), np.arange(20) % 2)
    (text,) = texts(record_of(STEADY, results))
    assert text.startswith(
        "Perhaps no better than a guess: 0.650 of the reviews are right, and always saying "
        "'negative' would get 0.500."
    )


def test_probabilities_that_are_not_finite_are_called_neither_over_nor_underconfident():
    results = calm()
    results.probabilities[0] = np.nan
    assert not [text for text in texts(record_of(STEADY, results)) if "confident" in text]


def test_mistakes_of_one_kind():
    labels = np.arange(400) % 2
    right = (np.arange(400) % 5 > 0) | (labels == 1)
    (text,) = texts(record_of(STEADY, results_with(right, np.full(400, 0.9), labels)))
    assert text.startswith(
        "The mistakes are lopsided: 'positive' is predicted for 60.0% of the reviews and is the "
        "label of 50.0%; of 40 mistakes 40 take 'negative' for it."
    )


def test_weakest_of_many_labels():
    results = random_results(3, 300)
    shares = results.probabilities.copy()
    third = results.labels == 2
    shares[third] = np.float32([0.1, 0.6, 0.3])
    record = record_of(STEADY, results._replace(probabilities=shares), labels="abc")
    (text,) = [text for text in texts(record) if "weakest" in text]
    assert text.startswith(
        f"The label 'c' is the weakest: 0.000 of its {third.sum()} reviews are right"
    )
    assert f"most often it is taken for 'b', {third.sum()} times" in text


def test_lowest_of_many_labels_may_be_low_by_chance():
    labels = np.repeat(np.arange(20), 20)
    right = np.arange(400) % 5 > 0  # 80 %, and of the last label 11 of 20
    right[-20:] = np.arange(20) < 11
    shares = np.full((400, 20), 0.2 / 19, np.float32)
    shares[np.arange(400), np.where(right, labels, (labels + 1) % 20)] = 0.8
    results = results_of(
        probabilities=shares, labels=np.int32(labels), mistakes=(),
        lengths=np.full(400, 10, np.int32), unknown=np.zeros(400, np.int32),
    )  # fmt: skip
    names = "abcdefghijklmnopqrst"
    assert texts(record_of(STEADY, results, labels=names)) == []
