"""Text in, probabilities out: the one way from a review's text to what the network says of it.

    predictor = Predictor(network, vocabulary, max_tokens=512, keep="head_tail")
    predictor(tf.constant(["A film to remember."]))      # <float32>[1, labels]

All of it is in the graph, so a saved model computes the same.
"""

import tensorflow as tf

from input_pipeline import text
from input_pipeline.vocabulary import PADDING, Vocabulary
from trainer.model.network import Classifier


class Predictor(tf.Module):
    """A classifier with the vocabulary and the text rules that it was trained with."""

    def __init__(self, network: Classifier, vocabulary: Vocabulary, max_tokens: int, keep: str):
        """`max_tokens` and `keep` are those of `text.keep_tokens`."""
        super().__init__()
        self.network = network
        self.vocabulary = vocabulary
        self.table = vocabulary.table  # an attribute, so that a saved model has it
        self._max_tokens, self._keep = max_tokens, keep

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)], autograph=False)
    def __call__(self, texts: tf.Tensor) -> tf.Tensor:
        """Returns each label's probability <float32>[n, labels] for texts <string>[n]."""
        ids = self.vocabulary.lookup(self.tokens(texts))
        padded = ids.to_tensor(PADDING)
        # At least one slot wide: texts without a token, or no texts, are a batch too.
        lacks = tf.maximum(1 - tf.shape(padded)[1], 0)
        padded = tf.pad(padded, [[0, 0], [0, lacks]], constant_values=PADDING)
        lengths = tf.cast(ids.row_lengths(), tf.int32)
        return self.network.probabilities(self.network.embed(padded), lengths)

    def tokens(self, texts: tf.Tensor) -> tf.RaggedTensor:
        """Returns the tokens <string>[n, (tokens)] that the network reads of texts <string>[n]."""
        tokens = text.tokenize(texts, self.vocabulary.rules)
        return text.keep_tokens(tokens, self._max_tokens, self._keep)
