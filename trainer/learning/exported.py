"""A predictor as a SavedModel: texts in, names of labels and probabilities out.

    save(predictor, ("negative", "positive"), "folder")

The SavedModel needs TensorFlow alone: vocabulary and text rules are in its graph. A text goes the
same way as in prediction, since the graph is that of the predictor.
"""

import functools
from collections.abc import Sequence

import tensorflow as tf

from trainer.learning.predictor import Predictor

INPUT = "text"


def save(predictor: Predictor, labels: Sequence[str], folder: str) -> None:
    """Writes the SavedModel of a predictor, whose labels have these names, into a folder.

    Its signature `serving_default` takes `text` <string>[n] of UTF-8.
    """
    module = tf.Module()
    module.table = predictor.table
    # TensorFlow's own variables: with Keras's wrappers around them only TensorFlow 2 loads them,
    # and neither saved_model_cli nor TensorFlow Serving (keras #20095).
    module.weights = [*predictor.network.weights, *predictor.network.constants]
    function = tf.function(functools.partial(_classify, predictor, labels), autograph=False)
    texts = tf.TensorSpec([None], tf.string, INPUT)
    signatures = {"serving_default": function.get_concrete_function(text=texts)}
    tf.saved_model.save(module, folder, signatures=signatures)


def _classify(predictor: Predictor, labels: Sequence[str], text: tf.Tensor) -> dict[str, tf.Tensor]:
    """Returns what is predicted for texts <string>[n].

    label <string>[n] and probability <float32>[n] are those of the predicted label; labels
    <string>[n, labels] and probabilities <float32>[n, labels] are of all. Each output has a row for
    each text, as TensorFlow Serving's `instances` want it.
    """
    probabilities, names = predictor(text), tf.constant(list(labels))
    number = tf.argmax(probabilities, axis=1)
    return {
        "label": tf.gather(names, number),
        "probability": tf.gather(probabilities, number, batch_dims=1),
        "labels": tf.tile(names[tf.newaxis], [tf.shape(text)[0], 1]),
        "probabilities": probabilities,
    }
