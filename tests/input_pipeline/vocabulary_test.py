"""Run with `python -m pytest tests/input_pipeline/vocabulary_test.py`."""

import pytest
import tensorflow as tf

from input_pipeline import vocabulary
from storage.errors import UserError


@pytest.fixture
def words():
    return vocabulary.build({"film": 5, "don't": 3, "\u6620\u753b": 2, "a": 7}, size=10)


def test_padding_and_the_unknown_word_come_first(words):
    assert words.words[vocabulary.PADDING] == "<pad>"
    assert words.words[vocabulary.UNKNOWN] == "<unk>"
    assert (vocabulary.PADDING, vocabulary.UNKNOWN) == (0, 1)


def test_frequent_words_come_first(words):
    assert words.words[2:] == ("a", "film", "don't", "\u6620\u753b")


def test_alphabet_decides_between_equal_counts():
    built = vocabulary.build({"c": 2, "a": 2, "d": 3, "b": 2}, size=10)
    assert built.words[2:] == ("d", "a", "b", "c")


@pytest.mark.parametrize(("size", "expected"), [(3, 3), (4, 4), (6, 6), (7, 6)])
def test_size_counts_padding_and_the_unknown_word(size, expected):
    built = vocabulary.build({"a": 4, "b": 3, "c": 2, "d": 1}, size)
    assert len(built) == expected
    assert built.words[2:] == ("a", "b", "c", "d")[: expected - 2]


def test_unknown_words_that_were_counted_are_not_added_again():
    assert vocabulary.build({"<unk>": 9, "<pad>": 8, "a": 1}, 10).words == ("<pad>", "<unk>", "a")


def test_order_of_counting_does_not_matter():
    counts = {"a": 1, "b": 1, "c": 2}
    backwards = dict(reversed(counts.items()))
    assert vocabulary.build(counts, 10) == vocabulary.build(backwards, 10)


def test_file_has_one_word_a_line(words):
    assert words.to_bytes() == "<pad>\n<unk>\na\nfilm\ndon't\n\u6620\u753b\n".encode()


def test_file_is_read_back(words):
    again = vocabulary.from_bytes(words.to_bytes(), "vocabulary.txt")
    assert again == words
    assert again.digest == words.digest


def test_digest_tells_order_and_words_apart(words):
    swapped = vocabulary.Vocabulary((*words.words[:2], *reversed(words.words[2:])))
    shorter = vocabulary.Vocabulary(words.words[:-1])
    assert len({words.digest, swapped.digest, shorter.digest}) == 3


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\n",
        b"<pad>\n",
        b"a\nfilm\n",
        b"<unk>\n<pad>\na\n",
        b"<pad>\n<unk>\na\nfil",
        b"<pad>\n<unk>\na\na\n",
        b"<pad>\n<unk>\na\n<pad>\n",
        b"<pad>\n<unk>\na\n\nb\n",
        b"<pad>\r\n<unk>\r\na\r\n",
        b"\xef\xbb\xbf<pad>\n<unk>\na\n",
        b"<pad>\n<unk>\n\xff\n",
    ],
)
def test_damaged_file_is_refused_by_name(data):
    with pytest.raises(UserError, match=r"^runs/a/vocabulary.txt: not .*bring back") as raised:
        vocabulary.from_bytes(data, "runs/a/vocabulary.txt")
    assert "\n" not in str(raised.value)


def test_lookup_gives_the_lines_of_words(words):
    ids = words.lookup(tf.ragged.constant([["film", "a"], ["\u6620\u753b"], ["don't", "film"]]))
    assert ids.to_list() == [[3, 2], [5], [4, 3]]
    assert ids.dtype == tf.int32


def test_lookup_of_a_word_it_does_not_know_is_the_unknown_word(words):
    ids = words.lookup(tf.ragged.constant([["films", "a"], ["<unk>"], [""]]))
    assert ids.to_list() == [[1, 2], [1], [1]]
