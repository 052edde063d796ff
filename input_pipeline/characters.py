"""Gives the same character in every text one spelling: entities are decoded, accents composed.

texts = decode_entities(tf.constant(["caf&eacute;"]))    # ["café"]
texts = compose(tf.constant(["cafe\u0301"]))             # ["café"]

All of it is core TensorFlow ops without resources, so a saved model needs nothing else. No text may
hold a NUL.
"""

import functools
import html
import html.entities
import unicodedata
from collections.abc import Callable, Mapping

import tensorflow as tf

_ENTITY = r"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[a-zA-Z][a-zA-Z0-9]{1,31});"
_REPLACEMENT = 0xFFFD  # U+FFFD, the character for what is none
_JAMO = r"[\x{1100}-\x{1112}][\x{1161}-\x{1175}][\x{11A8}-\x{11C2}]?"
# Below this all code points are assigned, so that the table does not depend on Python's version of
# Unicode. Above it the only composed letters that are in use are those of Hangul.
_COMPOSED_BELOW = 0x3100
_HASHES = 2**62


def decode_entities(texts: tf.Tensor) -> tf.Tensor:
    """Decodes the HTML entities in texts <string>[n], once: '&amp;lt;' becomes '&lt;'.

    These are all names of HTML 5 and all numbers, with a semicolon at the end. As in browsers, 128
    to 159 are the characters of Windows-1252, and a number without a character becomes U+FFFD.
    """
    return _map_matches(texts, _ENTITY, _decoded)


def compose(texts: tf.Tensor) -> tf.Tensor:
    """Composes letters and their combining marks in lower-case texts <string>[n], as NFC does.

    These are all letters below U+3100 (of Latin, Greek, Cyrillic, Arabic, Indic scripts and kana)
    and Hangul. What it leaves as it is: marks in another order than that of NFD, a letter with a
    further mark that it can't take up, and characters that NFC itself decomposes.
    """
    texts = _map_matches(texts, r"\pL\pM+", lambda letters: _replaced(letters, _composed_letters()))
    return _map_matches(texts, _JAMO, _syllables)


def _map_matches(
    texts: tf.Tensor, pattern: str, function: Callable[[tf.Tensor], tf.Tensor]
) -> tf.Tensor:
    """Replaces each match of `pattern` by what `function`, <string>[m] to <string>[m], makes of it.

    `pattern` is in RE2 syntax and has no group that captures.
    """
    marked = tf.strings.regex_replace(texts, f"({pattern})", "\0\\1\0")
    rows = tf.where(tf.strings.length(marked) > tf.strings.length(texts))
    pieces = tf.strings.split(tf.gather_nd(marked, rows), "\0")
    flat = pieces.flat_values
    # Within a row texts and matches take turns.
    position = tf.ragged.range(pieces.row_lengths()).flat_values
    matches = tf.where(position % 2 == 1)
    flat = tf.tensor_scatter_nd_update(flat, matches, function(tf.gather_nd(flat, matches)))
    mapped = tf.strings.reduce_join(pieces.with_flat_values(flat), axis=-1)
    return tf.tensor_scatter_nd_update(texts, rows, mapped)


def _replaced(strings: tf.Tensor, table: Mapping[str, str]) -> tf.Tensor:
    """Replaces those of `strings` <string>[n] that are keys of `table` by their values.

    The keys are searched by their hashes. A tf.lookup table would be a resource, which each module
    that is exported would have to hold.
    """
    keys, values = tf.constant(list(table)), tf.constant(list(table.values()))
    hashes = tf.strings.to_hash_bucket_fast(keys, _HASHES)
    order = tf.argsort(hashes)
    place = tf.searchsorted(
        tf.gather(hashes, order), tf.strings.to_hash_bucket_fast(strings, _HASHES)
    )
    index = tf.gather(order, tf.minimum(place, len(table) - 1))
    return tf.where(tf.gather(keys, index) == strings, tf.gather(values, index), strings)


def _decoded(entities: tf.Tensor) -> tf.Tensor:
    """Returns the characters of entities <string>[n]; a name that is none stays as it is."""
    has_number = tf.strings.regex_full_match(entities, "&#.*")
    number = tf.strings.regex_replace(entities, r"^&#([0-9]+);$", r"\1")
    number = tf.strings.regex_replace(number, r"^&#[xX]([0-9a-fA-F]+);$", r"0x\1")
    number = tf.where(has_number, number, "0")
    code = tf.cast(tf.strings.to_number(number, tf.float64), tf.int32)
    windows = tf.constant([ord(html.unescape(f"&#{code};")) for code in range(128, 160)])
    in_windows = (code >= 128) & (code < 160)
    code = tf.where(in_windows, tf.gather(windows, tf.where(in_windows, code - 128, 0)), code)
    code = tf.where(code == 0, _REPLACEMENT, code)
    characters = tf.strings.unicode_encode(code[:, tf.newaxis], "UTF-8", errors="replace")
    return tf.where(has_number, characters, _replaced(entities, _named_entities()))


@functools.cache
def _named_entities() -> dict[str, str]:
    names = html.entities.html5.items()
    return {f"&{name}": value for name, value in names if name.endswith(";")}


@functools.cache
def _composed_letters() -> dict[str, str]:
    """Returns the composed letter of each lower-case letter with marks."""
    table = {}
    for letter in map(chr, range(_COMPOSED_BELOW)):
        if unicodedata.normalize("NFC", letter) != letter or letter != letter.lower():
            continue
        # All of its marks apart, or only the last one.
        for spelling in (unicodedata.normalize("NFD", letter), _one_step(letter)):
            if spelling != letter and all(unicodedata.category(m)[0] == "M" for m in spelling[1:]):
                table[spelling] = letter
    return table


def _one_step(letter: str) -> str:
    """Returns a letter without its last mark, and that mark; a plain letter as it is."""
    mapping = unicodedata.decomposition(letter)
    if not mapping or mapping.startswith("<"):  # <...> is no spelling of the same letter
        return letter
    return "".join(chr(int(code, 16)) for code in mapping.split())


def _syllables(jamo: tf.Tensor) -> tf.Tensor:
    """Returns the Hangul syllables <string>[n] of two or three jamo each, <string>[n]."""
    codes = tf.strings.unicode_decode(jamo, "UTF-8").to_tensor(0x11A7, shape=[None, 3])
    lead, vowel, tail = tf.unstack(codes - tf.constant([0x1100, 0x1161, 0x11A7]), axis=1)
    syllable = 0xAC00 + (lead * 21 + vowel) * 28 + tail
    return tf.strings.unicode_encode(syllable[:, tf.newaxis], "UTF-8")
