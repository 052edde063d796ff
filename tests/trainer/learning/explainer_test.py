"""Explanations agree with what the predictor says of the same and of changed texts."""

import re

import numpy as np
import pytest
import tensorflow as tf

from configs import default
from input_pipeline.sources import sample_corpus
from input_pipeline.vocabulary import UNKNOWN, build
from storage.store import open_store
from trainer.learning import attribution
from trainer.learning.explainer import Explainer
from trainer.learning.predictor import Predictor
from trainer.model.kernels import KERNELS
from trainer.model.network import Classifier
from trainer.run.trained_network import load_predictor
from trainer.run.workdir import scoring_config

TEXT = "The novel was superb, and the film, to my mind, was a qwertz mess"
NAMES = ("bad", "fair", "good")
MAX_TOKENS = 24
# Pooling, bidirectional, number of labels, precision, buckets of the wide part. With attention
# they read in segments.
NETWORKS = {
    "one direction": ("last", False, 2, "float32", 0),
    "both directions": ("attention", True, 2, "float32", 0),
    "three labels": ("mean", False, 3, "float32", 0),
    "mixed precision": ("concat", True, 3, "bfloat16", 0),
    "wide": ("last", False, 3, "float32", 4096),
}


@pytest.fixture(scope="module")
def vocabulary():
    texts = " ".join(text.lower() for text, _ in sample_corpus.reviews("test")[:90])
    counts = dict.fromkeys(re.findall("[a-z']+", texts), 1)
    return build(counts, len(counts) + 2)


def predictor_of(vocabulary, pooling, bidirectional, labels, precision, buckets):
    config = default.get_config()
    config.model.update(embedding_size=16, layer_sizes=(12, 8), bidirectional=bidirectional)
    config.model.update(pooling=pooling, precision=precision, wide_buckets=buckets)
    if pooling == "attention":
        config.model.update(segment_tokens=12, segment_overlap=9)  # two segments of TEXT
    network = Classifier(config.model, len(vocabulary), labels, 0, KERNELS["keras"])
    network.head.kernel.assign(network.head.kernel * 40.0)  # probabilities far from one half too
    if buckets:
        for values in (network.wide.layer.embeddings, network.wide.ratios):
            values.assign(np.random.default_rng(0).normal(scale=0.5, size=values.shape))
    return Predictor(network, vocabulary, MAX_TOKENS, "head_tail")


@pytest.fixture(scope="module", params=NETWORKS)
def explained(request, vocabulary):
    """A predictor, its explainer and the explanation of TEXT, for each network."""
    labels = NETWORKS[request.param][2]
    predictor = predictor_of(vocabulary, *NETWORKS[request.param])
    explainer = Explainer(predictor, NAMES[-labels:])
    return predictor, explainer, explainer.explain(TEXT)


def tolerance_of(predictor):
    """How far the predictor's probabilities may be from those in float32."""
    return 1e-5 if predictor.network.embedding.compute_dtype == "float32" else 5e-2


def log_odds(probability):
    return np.log(probability) - np.log1p(-probability)


def test_explains_what_the_predictor_says(explained):
    predictor, _, explanation = explained
    probabilities = predictor(tf.constant([TEXT])).numpy()[0]
    atol = tolerance_of(predictor)
    np.testing.assert_allclose(explanation.probabilities, probabilities, atol=atol)
    assert explanation.label == explanation.labels[probabilities.argmax()]
    is_binary = len(explanation.labels) == 2
    assert explanation.explained == (explanation.labels[1] if is_binary else explanation.label)
    number = explanation.labels.index(explanation.explained)
    assert explanation.logit == pytest.approx(log_odds(explanation.probabilities[number]), abs=1e-4)
    assert " ".join(explanation.words) == TEXT.lower().replace(",", "")
    known = [word in predictor.vocabulary.tokens for word in explanation.words]
    assert explanation.known.tolist() == known
    assert not all(known)


def test_probability_so_far_is_that_of_the_beginning(explained):
    predictor, _, explanation = explained
    beginnings = [" ".join(explanation.words[: end + 1]) for end in range(len(explanation.words))]
    number = explanation.labels.index(explanation.explained)
    expected = predictor(tf.constant(beginnings)).numpy()[:, number]
    np.testing.assert_allclose(explanation.so_far, expected, atol=tolerance_of(predictor))


def test_left_out_is_the_difference_to_the_text_without_the_word(explained):
    predictor, _, explanation = explained
    words = explanation.words
    texts = [" ".join(words[:place] + words[place + 1 :]) for place in range(len(words))]
    number = explanation.labels.index(explanation.explained)
    expected = predictor(tf.constant(texts)).numpy()[:, number]
    without = 1 / (1 + np.exp(explanation.left_out - explanation.logit))
    np.testing.assert_allclose(without, expected, atol=tolerance_of(predictor))


def test_attributions_add_up_to_the_difference_to_unknown_words(explained):
    predictor, _, explanation = explained
    difference = explanation.logit - explanation.baseline_logit
    assert explanation.attributions.sum() == pytest.approx(difference, rel=1e-4)
    number = explanation.labels.index(explanation.explained)
    nothing = " ".join(["qwertz"] * len(explanation.words))
    probability = float(predictor(tf.constant([nothing]))[0, number])
    baseline = 1 / (1 + np.exp(-explanation.baseline_logit))
    assert baseline == pytest.approx(probability, abs=tolerance_of(predictor))
    assert explanation.attributions[explanation.words.index("qwertz")] == 0


def test_attributions_are_the_integrals_of_the_gradients(explained):
    """Against a plain sum over many small steps, whose slopes are those of differences."""
    predictor, explainer, explanation = explained
    ids = predictor.vocabulary.encode(tf.constant([TEXT]))[0].numpy()
    number = explanation.labels.index(explanation.explained)
    places = (np.arange(400) + 0.5) / 400
    values, slopes = attribution.LogOdds(predictor.network).along(ids, number, places)
    totals = slopes.sum(axis=1)
    middle = (totals[1:] + totals[:-1]) / 2
    misses = np.abs(np.diff(values) * 400 - middle)
    assert np.quantile(misses, 0.95) < 0.02 * np.abs(totals).max()  # not where a maximum changes
    scale = np.abs(explanation.attributions).max()
    np.testing.assert_allclose(explanation.attributions, slopes.mean(axis=0), atol=5e-3 * scale)
    (again,) = explainer.attributions([ids], [number])
    np.testing.assert_array_equal(again, explanation.attributions)


def test_part_in_the_other_of_two_labels_is_the_opposite(vocabulary):
    predictor = predictor_of(vocabulary, *NETWORKS["one direction"])
    ids = predictor.vocabulary.encode(tf.constant([TEXT]))[0].numpy()
    bad, good = Explainer(predictor, NAMES[:2]).attributions([ids, ids], [0, 1])
    np.testing.assert_allclose(bad, -good, rtol=1e-4, atol=1e-5)


def test_layers_have_the_gates_of_each_word_in_the_order_of_the_text(explained):
    predictor, explainer, explanation = explained
    names = ["layer 1", "layer 2"]
    if predictor.network.backward:
        names = [f"{name} {way}" for name in names for way in ("forward", "backward")]
    assert [layer.name for layer in explanation.layers] == names
    for layer in explanation.layers:
        units = 12 if "1" in layer.name else 8
        assert layer.influence.shape == (units,)
        assert {values.shape for values in layer[1:7]} == {(len(explanation.words), units)}
        np.testing.assert_allclose(layer.state, layer.output * np.tanh(layer.cell), atol=1e-6)
    # What a layer has read when it comes to a word is the text before it or, backward, after it.
    other = explainer.explain(TEXT.replace("superb", "dull"))
    place = explanation.words.index("superb")
    same = np.isclose(explanation.layers[0].cell, other.layers[0].cell).all(axis=1)
    assert same[:place].all() and not same[place:].any()
    if predictor.network.backward:
        same = np.isclose(explanation.layers[1].cell, other.layers[1].cell).all(axis=1)
        assert same[place + 1 :].all() and not same[: place + 1].any()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ("<unk>",)),
        ("!?", ("<unk>",)),
        ("qwertz uiop", ("qwertz", "uiop")),
        ("a\0film 😀", ("a", "film", "😀")),
        ("film", ("film",)),
        ("the film was awful " * 1_250, ("the", "film", "was", "awful") * (MAX_TOKENS // 4)),
    ],
)
def test_any_text_is_explained(explained, text, words):
    _, _, reference = explained
    explanation = explained[1].explain(text)
    assert explanation.words == words
    assert explanation.so_far.shape == explanation.left_out.shape == (len(words),)
    for values in (explanation.so_far, explanation.left_out, explanation.attributions):
        assert np.isfinite(values).all()
    difference = explanation.logit - explanation.baseline_logit
    assert explanation.attributions.sum() == pytest.approx(difference, rel=1e-3, abs=1e-5)
    assert explanation.labels == reference.labels


def test_no_text_makes_it_trace_again(vocabulary):
    predictor = predictor_of(vocabulary, *NETWORKS["one direction"])
    log_odds_of = attribution.LogOdds(predictor.network)
    for words in (1, 3, 24, 7):
        ids = np.full(words, UNKNOWN + 1, np.int32)
        attribution.integrated_gradients(log_odds_of, ids, 1)
        log_odds_of([ids, ids[:1]], 0)
    assert log_odds_of._of_batch.experimental_get_tracing_count() == 1
    assert log_odds_of._along.experimental_get_tracing_count() == 1


def test_batches_bound_the_memory(vocabulary, monkeypatch):
    predictor = predictor_of(vocabulary, *NETWORKS["one direction"])
    rng = np.random.default_rng(0)
    reviews = [rng.integers(1, 300, n).astype(np.int32) for n in (9, 2, 30, 1, 4)]
    expected = attribution.LogOdds(predictor.network)(reviews, 1)
    monkeypatch.setattr(attribution, "_SLOTS", 16)
    log_odds_of, shapes = attribution.LogOdds(predictor.network), []
    of_batch = log_odds_of._of_batch
    monkeypatch.setattr(
        log_odds_of,
        "_of_batch",
        lambda ids, *rest: shapes.append(ids.shape) or of_batch(ids, *rest),
    )
    np.testing.assert_allclose(log_odds_of(reviews, 1), expected, atol=1e-5)
    assert shapes == [(1, 9), (1, 2), (1, 30), (2, 4)]
    assert log_odds_of([], 1).shape == (0,)


class _Step:
    """Log-odds that rise by 3 and fall by 1, as two tokens' parts, around 0.3 of the path."""

    def __init__(self, steepness):
        self._steepness = steepness

    def along(self, review, label, places):
        height = 1 / (1 + np.exp(-np.clip(self._steepness * (places - 0.3), -60, 60)))
        slope = self._steepness * height * (1 - height)
        return 2 * height, slope[:, None] * np.array([3.0, -1.0])


@pytest.mark.parametrize("steepness", [1, 30, 1_000])
def test_steep_log_odds_are_integrated(steepness):
    parts = attribution.integrated_gradients(_Step(steepness), np.array([7, 8]), 1)
    values, _ = _Step(steepness).along(None, None, np.array([0.0, 1.0]))
    np.testing.assert_allclose(parts, np.diff(values) / 2 * [3, -1], rtol=2e-3)


def test_jump_of_the_log_odds_is_shared():
    parts = attribution.integrated_gradients(_Step(1e9), np.array([7, 8]), 1)
    assert parts.sum() == pytest.approx(2)


def test_log_odds_that_are_not_finite_end_the_integration():
    step, places = _Step(np.nan), []
    along = step.along
    step.along = lambda *given: places.extend(given[2]) or along(*given)
    assert np.isnan(attribution.integrated_gradients(step, np.array([7, 8]), 1)).all()
    assert len(places) < 3_000


def test_trained_network_is_explained(finished):
    store = open_store(str(finished))
    predictor, trained = load_predictor(scoring_config(store, None), store, "best", "explain")
    text = sample_corpus.reviews("test")[0][0]
    explanation = Explainer(predictor, trained.encoding.labels.names).explain(text)
    probability = float(predictor(tf.constant([text]))[0, 1])
    assert explanation.so_far[-1] == pytest.approx(probability, abs=1e-5)
    difference = explanation.logit - explanation.baseline_logit
    assert explanation.attributions.sum() == pytest.approx(difference, rel=1e-3)
