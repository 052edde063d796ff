"""Splits reviews into tokens, and cuts them to the tokens that the model reads.

tokens = tokenize(tf.constant(["It's <b>great</b>!<br />Go."]))   # [["it's", "great", "go"]]
ids = vocabulary.lookup(tokens)
ids = keep_tokens(ids, max_tokens=512, keep="head_tail")

All of it is TensorFlow ops, the same in training and in an exported model.
"""

import tensorflow as tf

UNKNOWN_TOKEN = "<unk>"  # noqa: S105 - no password

# (pattern, replacement) in RE2 syntax, applied in this order to the lower-cased text. The tokens
# that remain consist of letters and digits of any script and of apostrophes within a word, so none
# of them can be UNKNOWN_TOKEN.
RULES = (
    # Tags, above all <br />, and everything else between words.
    (r"<[^<>]{1,32}>|<|[^\pL\pM\pN'\x{2019}<]+", " "),
    (r"\x{2019}", "'"),
    (r"'*\s+'*|^'+|'+$", " "),  # quotes around words
)


def tokenize(texts: tf.Tensor) -> tf.RaggedTensor:
    """Returns the tokens <string>[reviews, (tokens)] of UTF-8 texts <string>[reviews].

    A review without a word becomes one UNKNOWN_TOKEN, so that every review has a last state.
    """
    texts = tf.strings.lower(texts, encoding="utf-8")
    for pattern, replacement in RULES:
        texts = tf.strings.regex_replace(texts, pattern, replacement)
    texts = tf.strings.strip(texts)
    texts = tf.where(texts == "", UNKNOWN_TOKEN, texts)
    return tf.strings.split(texts)


def keep_tokens(ids: tf.RaggedTensor, max_tokens: int, keep: str) -> tf.RaggedTensor:
    """Returns the part of each review <int32>[reviews, (tokens)] that the model reads.

    It has up to `max_tokens` tokens. `keep` tells which: 'head', 'tail' or 'head_tail' (half of
    them from each end; of an odd number the tail gets one more).
    """
    head = {"head": max_tokens, "tail": 0, "head_tail": max_tokens // 2}[keep]
    tail = max_tokens - head
    lengths = ids.row_lengths()
    position = tf.ragged.range(lengths).flat_values
    from_end = tf.gather(lengths, ids.value_rowids()) - position
    kept = (position < head) | (from_end <= tail)
    return tf.RaggedTensor.from_row_lengths(
        tf.boolean_mask(ids.flat_values, kept), tf.minimum(lengths, max_tokens)
    )
