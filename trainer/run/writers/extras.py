"""What accompanies lines of metrics: samples of reviews, histograms of weights, the vocabulary.

writer.write("validation", step, metrics, review_samples(reviews, probabilities, encoding))
writer.write("epoch", step, means, weight_histograms(network))
writer.write("test", step, metrics, [vocabulary_embedding(network, encoding.vocabulary)])
"""

import html
import re

import numpy as np

from input_pipeline.encoding import Encoding
from input_pipeline.examples import Examples
from input_pipeline.vocabulary import Vocabulary
from trainer.model.language_model import LanguageModel
from trainer.model.network import Classifier, Encoder
from trainer.run.writers.writer import Embedding, Histogram, Text

_SAMPLES = 4  # reviews
_BUCKETS = 30
_MARKDOWN = re.compile(r"([\\`*_{}\[\]()#+.!|~-])")


def review_samples(
    reviews: Examples, probabilities: np.ndarray, encoding: Encoding
) -> tuple[Text, ...]:
    """Returns a table of a few reviews, always the same ones, as the network reads them.

    `probabilities` are <float32>[reviews, labels]. Unknown words are `<unk>`.
    """
    vocabulary, labels = encoding.vocabulary.tokens, encoding.labels.names
    # One column: beside a long text TensorBoard makes the others as narrow as a letter.
    rows = ["| label, prediction and its probability, review |", "| --- |"]
    for review in np.unique(np.linspace(0, len(reviews) - 1, _SAMPLES).astype(int)):
        predicted = int(probabilities[review].argmax())
        label = _escaped(labels[reviews.labels[review]])
        answer = f"{_escaped(labels[predicted])}, {probabilities[review, predicted]:.3f}"
        text = _escaped(" ".join(vocabulary[token] for token in reviews.tokens[review].numpy()))
        rows.append(f"| **{label}**, predicted **{answer}**<br>{text} |")
    return (Text("reviews", "\n".join(rows)),)


def weight_histograms(network: Encoder) -> tuple[Histogram, ...]:
    """Returns a histogram of each of the network's weights."""
    histograms = []
    for name, weight in _named_weights(network):
        counts, edges = np.histogram(weight, _BUCKETS)
        histograms.append(Histogram(f"weights/{name}", edges, counts))
    return tuple(histograms)


def vocabulary_embedding(network: Encoder, vocabulary: Vocabulary) -> Embedding:
    """Returns the network's embedding of the vocabulary."""
    return Embedding(vocabulary.tokens, network.embedding.embeddings.numpy())


def _named_weights(network: Encoder) -> list[tuple[str, np.ndarray]]:
    """Returns the weights by names such as `forward_1/kernel`, layers counted from 1."""
    lists = {"forward": network.forward, "backward": network.backward}
    layers = {"embedding": network.embedding}
    if isinstance(network, LanguageModel):
        lists["projection"] = network.projection
        layers["output_bias"] = network.output_bias
    for name, members in lists.items():
        layers |= {f"{name}_{number}": layer for number, layer in enumerate(members, 1)}
    if isinstance(network, Classifier):
        layers["head"] = network.head
        if network.attention:
            hidden, query = network.attention.layers
            layers |= {"attention_hidden": hidden, "attention_query": query}
        if network.wide:
            layers["wide"] = network.wide.layer
    return [
        (f"{name}/{variable.name}", variable.numpy())
        for name, layer in layers.items()
        for variable in layer.trainable_variables
    ]


def _escaped(text: str) -> str:
    """Returns a text that Markdown shows as it is, in a cell of a table."""
    return _MARKDOWN.sub(r"\\\1", html.escape(text, quote=False))
