"""Text in, probabilities out: the one way from a review's text to what the network says of it.

    predictor = Predictor(network, vocabulary, max_tokens=512, keep="head_tail")
    predictor(tf.constant(["A film to remember."]))      # <float32>[1, labels]
    predictor.of_many(texts, batch_size=256, width_step=16)

All of a call is in the graph, so a saved model computes the same. For many texts `of_many` is
faster: its batches hold reviews of similar length, so that few slots are padding, and several
batches are computed at the same time.
"""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import tensorflow as tf

from input_pipeline import batch_plan, text
from input_pipeline.streaming import in_threads
from input_pipeline.vocabulary import PADDING, Vocabulary
from trainer.model.network import Classifier

_TOKENISE_BATCH = 512  # texts


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
        ids = self.ids(texts)
        padded = ids.to_tensor(PADDING)
        # At least one slot wide: texts without a token, or no texts, are a batch too.
        lacks = tf.maximum(1 - tf.shape(padded)[1], 0)
        padded = tf.pad(padded, [[0, 0], [0, lacks]], constant_values=PADDING)
        return self._of_ids(padded, tf.cast(ids.row_lengths(), tf.int32))

    def of_many(
        self,
        texts: Sequence[str],
        batch_size: int,
        width_step: int,
        check: Callable[[], None] = lambda: None,
    ) -> np.ndarray:
        """Returns what a call does, <float32>[texts, labels], for one or more texts.

        Batches are padded to a multiple of `width_step`. `check` is called before each and may
        raise to leave.
        """
        starts = range(0, len(texts), _TOKENISE_BATCH)
        parts = (tf.constant(texts[start : start + _TOKENISE_BATCH]) for start in starts)
        ids = tf.concat(list(in_threads(self.ids, parts)), axis=0)
        lengths = ids.row_lengths().numpy().astype(np.int32)
        plan = batch_plan.evaluation_plan(lengths, batch_size, width_step)

        def batches() -> Iterator[tuple[np.ndarray, int]]:
            for numbers, width in zip(plan.ids, plan.widths, strict=True):
                check()
                yield numbers[numbers != batch_plan.NO_REVIEW], width

        def probabilities(batch: tuple[np.ndarray, int]) -> np.ndarray:
            numbers, width = batch
            padded = tf.gather(ids, numbers).to_tensor(PADDING, shape=[None, width])
            return self._of_ids(padded, tf.constant(lengths[numbers])).numpy()

        found = list(in_threads(probabilities, batches()))
        order = plan.ids[plan.ids != batch_plan.NO_REVIEW]
        return np.concatenate(found)[np.argsort(order)]

    def ids(self, texts: tf.Tensor) -> tf.RaggedTensor:
        """Returns the token ids <int32>[n, (tokens)] that the network reads."""
        return self.vocabulary.lookup(self.tokens(texts))

    def tokens(self, texts: tf.Tensor) -> tf.RaggedTensor:
        """Returns the tokens <string>[n, (tokens)] that the network reads of texts <string>[n]."""
        return self.cut(self.all_tokens(texts))

    def cut(self, tokens: tf.RaggedTensor) -> tf.RaggedTensor:
        """Returns the part of each text's tokens [n, (tokens)] that the network reads."""
        return text.keep_tokens(tokens, self._max_tokens, self._keep)

    def all_tokens(self, texts: tf.Tensor) -> tf.RaggedTensor:
        """Returns the tokens <string>[n, (tokens)] of texts <string>[n], before they are cut."""
        return text.tokenize(texts, self.vocabulary.rules)

    @tf.function(
        input_signature=[tf.TensorSpec([None, None], tf.int32), tf.TensorSpec([None], tf.int32)],
        autograph=False,
    )
    def _of_ids(self, ids: tf.Tensor, lengths: tf.Tensor) -> tf.Tensor:
        """Returns the probabilities of padded ids <int32>[n, width] of <int32>[n] tokens each."""
        return self.network.probabilities(self.network.inputs(ids), lengths)
