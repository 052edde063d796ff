"""Splits reviews into tokens, and cuts them to the tokens that the model reads.

texts = tf.constant(["It's <b>great</b>!<br />Go."])
tokens = tokenize(texts, WORDS)                         # [["it's", "great", "go"]]
tokens = tokenize(texts, rules_of(punctuation=True))    # [["it's", "great", "!", "go", "."]]
ids = vocabulary.encode(texts)                          # by the rules of the vocabulary
ids = keep_tokens(ids, max_tokens=512, keep="head_tail")

All of it is TensorFlow ops, the same in training and in an exported model. The rules have versions,
so that a trained model keeps those that it was trained with: a change of tokens is a new version.
"""

import functools
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from input_pipeline.characters import compose, decode_entities
from input_pipeline.vocabulary_file import UNKNOWN_TOKEN

_Step = Callable[[tf.Tensor], tf.Tensor]  # <string>[reviews] to <string>[reviews]


def _replace(pattern: str, replacement: str) -> _Step:
    """Returns the step that replaces each match of a pattern in RE2 syntax."""
    return functools.partial(tf.strings.regex_replace, pattern=pattern, rewrite=replacement)


_LOWER = functools.partial(tf.strings.lower, encoding="utf-8")
# Quotes around words. A pattern that matched every space would take most of the time.
_QUOTES = (_replace(r"\x{2019}", "'"), _replace(r"'+ +'*| +'+|^'+|'+$", " "))

# A tag has a name and what follows it, of any length. A '>' within a quoted value isn't its end.
_ATTRIBUTES = r"""[\s/](?:=\s*"[^"<]*"|=\s*'[^'<]*'|[^<>])*"""
_TAG = rf"(?s)<(?:!--.*?--|[/!?]?[a-zA-Z][a-zA-Z0-9:-]*(?:{_ATTRIBUTES})?)>"
# Soft hyphens, variation selectors, keycaps and skin tones.
_INVISIBLE = r"[\x{AD}\x{FE00}-\x{FE0F}\x{20E3}\x{1F3FB}-\x{1F3FF}\x{E0100}-\x{E01EF}]+"
# Scripts without spaces between words; of kana also the prolonged sound marks.
_UNSPACED = r"\p{Han}\p{Hiragana}\p{Katakana}\x{30FC}\x{FF70}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"
_EMOJI = (
    r"\x{231A}\x{231B}\x{23E9}-\x{23FA}\x{2600}-\x{275A}\x{2761}-\x{2767}\x{2795}-\x{2797}"
    r"\x{27B0}\x{27BF}\x{2B1B}\x{2B1C}\x{2B50}\x{2B55}\x{1F000}-\x{1FAFF}"
)
_FLAG = r"[\x{1F1E6}-\x{1F1FF}]{2}"
# What Mesnil et al. 2014 (arXiv:1412.5335) keep of punctuation, quotes left out.
_PUNCTUATION = "!?.,;:()"


def _steps(punctuation: str) -> tuple[_Step, ...]:
    """Returns the steps whose tokens are words, emoji and the characters of `punctuation`."""
    return (
        _replace(r"\x00", " "),  # at which `lower` would end
        _replace(_TAG, " "),
        decode_entities,
        _LOWER,
        compose,
        _replace(_INVISIBLE, ""),
        _replace(rf"([{_UNSPACED}]\pM*|{_FLAG}|[{_EMOJI}{punctuation}])", r" \1 "),
        _replace(rf"[^\pL\pM\pN'\x{{2019}}{_EMOJI}{punctuation} ]+", " "),
        *_QUOTES,
    )


WORDS, WORDS_AND_PUNCTUATION = 2, 3
# The steps of each version, in their order. The tokens that remain consist of letters, marks and
# digits of any script and of apostrophes within a word, from version 2 on also of emoji; in version
# 3 a character of _PUNCTUATION is one too. So none of them can be UNKNOWN_TOKEN.
RULES: dict[int, tuple[_Step, ...]] = {
    # Loses what follows a NUL, and takes anything of up to 32 characters in <> for a tag.
    1: (_LOWER, _replace(r"<[^<>]{1,32}>|<|[^\pL\pM\pN'\x{2019}<]+", " "), *_QUOTES),
    WORDS: _steps(""),
    WORDS_AND_PUNCTUATION: _steps(_PUNCTUATION),
}


def rules_of(punctuation: bool) -> int:
    """Returns the version that a new run takes, with `data.punctuation` or without."""
    return WORDS_AND_PUNCTUATION if punctuation else WORDS


def tokenize(texts: tf.Tensor, rules: int) -> tf.RaggedTensor:
    """Returns the tokens <string>[reviews, (tokens)] of UTF-8 texts <string>[reviews].

    A review without a word becomes one UNKNOWN_TOKEN, so that every review has a last state.

    From version 2 of the rules on a NUL separates words. Tags and comments are removed and entities
    decoded, in this order; a '<' that doesn't begin a tag, or whose tag is never closed, separates.
    Composed and decomposed letters are the same, as far as `characters.compose` says. Each emoji is
    a token: a flag is one, of a sequence each part is one, skin tones don't count. So is each
    character of scripts without spaces (ideographs, kana, Thai, Lao, Khmer, Burmese) with the marks
    that follow it.
    """
    return _tokenizer(rules)(texts)


@functools.cache
def _tokenizer(rules: int) -> Callable[[tf.Tensor], tf.RaggedTensor]:
    """Returns the graph of a version, whose constants are prepared once and not for each batch."""

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)], autograph=False)
    def tokenizer(texts: tf.Tensor) -> tf.RaggedTensor:
        for step in RULES[rules]:
            texts = step(texts)
        texts = tf.strings.strip(texts)
        texts = tf.where(texts == "", UNKNOWN_TOKEN, texts)
        return tf.strings.split(texts)

    return tokenizer


def keep_tokens(ids: tf.RaggedTensor, max_tokens: int, keep: str) -> tf.RaggedTensor:
    """Returns the part of each review <int32>[reviews, (tokens)] that the model reads.

    It has up to `max_tokens` tokens. `keep` tells which: 'head', 'tail' or 'head_tail' (half of
    them from each end; of an odd number the tail gets one more).
    """
    head, tail = _head_and_tail(max_tokens, keep)
    lengths = ids.row_lengths()
    position = tf.ragged.range(lengths).flat_values
    from_end = tf.gather(lengths, ids.value_rowids()) - position
    kept = (position < head) | (from_end <= tail)
    return tf.RaggedTensor.from_row_lengths(
        tf.boolean_mask(ids.flat_values, kept), tf.minimum(lengths, max_tokens)
    )


def kept_tokens(lengths: np.ndarray, max_tokens: int, keep: str) -> np.ndarray:
    """Returns which tokens `keep_tokens` keeps, <bool>[all tokens], review after review.

    `lengths` are the tokens of each review, <int>[reviews].
    """
    head, tail = _head_and_tail(max_tokens, keep)
    ends, is_cut = np.cumsum(lengths, dtype=np.int64), lengths > max_tokens
    # The tokens left out of a review begin with a 1, and a -1 follows them.
    edges = np.zeros(lengths.sum(dtype=np.int64) + 1, np.int8)
    edges[(ends - lengths + head)[is_cut]] += 1
    edges[(ends - tail)[is_cut]] -= 1
    return np.cumsum(edges[:-1], dtype=np.int8) == 0


def _head_and_tail(max_tokens: int, keep: str) -> tuple[int, int]:
    """Returns how many tokens of a longer review are kept at its beginning and at its end."""
    head = {"head": max_tokens, "tail": 0, "head_tail": max_tokens // 2}[keep]
    return head, max_tokens - head
