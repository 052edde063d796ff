"""Samples of reviews, histograms of weights and the embedding, as TensorBoard gets them."""

import ml_collections
import numpy as np
import pytest
import tensorflow as tf
from tensorboard.plugins.text import text_plugin

from configs.schema.stored import stored_config
from input_pipeline.encoding import Encoding
from input_pipeline.examples import Examples
from input_pipeline.labels import SENTIMENTS, Labels
from input_pipeline.vocabulary import Vocabulary
from storage.store import open_store
from trainer.model.kernels import KERNELS
from trainer.model.language_model import LanguageModel
from trainer.model.network import Classifier
from trainer.run.trained_network import load_trained
from trainer.run.writers.extras import review_samples, vocabulary_embedding, weight_histograms

ENCODING = Encoding(Vocabulary(("<pad>", "<unk>", "good", "it's"), rules=2), SENTIMENTS)


def examples(*reviews, labels):
    return Examples(tf.ragged.constant(reviews, dtype=tf.int32), np.array(labels, np.int32))


def shown(text):
    """Returns the HTML that TensorBoard's text plugin makes of a text."""
    return text_plugin.text_array_to_html(np.array(text.markdown), enable_markdown=True)


def test_sample_has_label_prediction_and_the_tokens_as_the_network_reads_them():
    reviews = examples([3, 1, 2], labels=[1])
    (text,) = review_samples(reviews, np.array([[0.75, 0.25]], np.float32), ENCODING)
    page = shown(text)
    answer = "<strong>positive</strong>, predicted <strong>negative, 0.750</strong>"
    assert f"<td>{answer}<br>it's &lt;unk&gt; good</td>" in page


def test_names_that_look_like_markdown_are_shown_as_they_are():
    labels = Labels(("a|b", "*c*", "<i>d</i>"))
    encoding = Encoding(ENCODING.vocabulary, labels)
    rows = examples([2], [2], [2], labels=[0, 1, 2])
    (text,) = review_samples(rows, np.eye(3, dtype=np.float32), encoding)
    page = shown(text)
    for cell in ("a|b", "*c*", "&lt;i&gt;d&lt;/i&gt;"):
        assert f"<strong>{cell}</strong>, predicted <strong>{cell}, 1.000</strong>" in page


def test_samples_are_a_few_of_many_reviews_and_all_of_two():
    probabilities = np.full((1000, 2), 0.5, np.float32)
    many = examples(*[[2]] * 1000, labels=[0] * 1000)
    two = examples([2], [3], labels=[0, 1])
    heading = 2
    assert [
        len(review_samples(reviews, probabilities, ENCODING)[0].markdown.splitlines()) - heading
        for reviews in (many, two)
    ] == [4, 2]


@pytest.fixture(scope="module")
def trained(finished):
    store = open_store(str(finished))
    return load_trained(ml_collections.FrozenConfigDict(stored_config(store)), store, "best")


def is_complete(histograms, network):
    counted = sum(int(histogram.counts.sum()) for histogram in histograms)
    return counted == sum(int(tf.size(weight)) for weight in network.weights)


def test_every_weight_of_optional_parts_is_in_a_histogram(config):
    config.model.update(bidirectional=True, pooling="attention", wide_buckets=16)
    network = Classifier(config.model, 20, 2, 0, KERNELS["cpu"])
    assert is_complete(weight_histograms(network), network)


def test_every_weight_is_in_a_histogram(trained):
    histograms = weight_histograms(trained.network)
    assert is_complete(histograms, trained.network)
    assert {histogram.tag for histogram in histograms} >= {
        "weights/embedding/embeddings",
        "weights/forward_1/kernel",
        "weights/forward_1/recurrent_kernel",
        "weights/head/bias",
    }
    assert all(len(histogram.edges) == len(histogram.counts) + 1 for histogram in histograms)


def test_embedding_has_a_vector_for_each_token(trained):
    embedding = vocabulary_embedding(trained.network, trained.encoding.vocabulary)
    assert embedding.tokens[:2] == ("<pad>", "<unk>")
    assert embedding.vectors.shape == (len(trained.encoding.vocabulary), 8)


def test_histograms_of_a_language_model_have_its_output_layer(config):
    config.model.layer_sizes = (4,)
    network = LanguageModel(config.model, 20, 0, KERNELS["cpu"])
    names = {histogram.tag for histogram in weight_histograms(network)}
    assert {
        "weights/embedding/embeddings",
        "weights/projection_1/kernel",
        "weights/output_bias/embeddings",
    } <= names
