"""How a review becomes words: TensorFlow ops, the same in training and in an exported model.

words = tokenize(tf.constant(["It's <b>great</b>!<br />Go."]))   # [["it's", "great", "go"]]
ids = vocabulary.lookup(words)
ids = keep_tokens(ids, max_tokens=512, keep="head_tail")
"""

import tensorflow as tf

UNKNOWN_WORD = "<unk>"

# (pattern, replacement) in RE2 syntax, applied in this order to the lower-cased text. The words
# that are left hold letters and digits of any script and apostrophes within a word, so none of
# them can be UNKNOWN_WORD.
RULES = (
    # Tags, above all <br />, and whatever else stands between words.
    (r"<[^<>]{1,32}>|<|[^\pL\pM\pN'\x{2019}<]+", " "),
    (r"\x{2019}", "'"),
    (r"'*\s+'*|^'+|'+$", " "),  # quotes around words
)


def tokenize(texts: tf.Tensor) -> tf.RaggedTensor:
    """Words <string>[reviews, (words)] of UTF-8 texts <string>[reviews].

    A review without a word becomes one unknown word, so that every review has a last state.
    """
    texts = tf.strings.lower(texts, encoding="utf-8")
    for pattern, replacement in RULES:
        texts = tf.strings.regex_replace(texts, pattern, replacement)
    texts = tf.strings.strip(texts)
    texts = tf.where(texts == "", UNKNOWN_WORD, texts)
    return tf.strings.split(texts)


def keep_tokens(ids: tf.RaggedTensor, max_tokens: int, keep: str) -> tf.RaggedTensor:
    """The part of each review <int32>[reviews, (words)] that the model reads.

    `keep` is 'head', 'tail' or 'head_tail' (a half of each, the odd word to the tail).
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
