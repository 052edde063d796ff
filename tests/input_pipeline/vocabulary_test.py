"""Run with `python -m pytest tests/input_pipeline/vocabulary_test.py`."""

import dataclasses

import pytest
import tensorflow as tf

from input_pipeline import text
from input_pipeline import vocabulary as vocabularies
from storage.errors import UserError


@pytest.fixture
def vocabulary():
    return vocabularies.build({"film": 5, "don't": 3, "\u6620\u753b": 2, "a": 7}, size=10)


def test_padding_and_the_unknown_token_come_first(vocabulary):
    assert vocabulary.tokens[vocabularies.PADDING] == "<pad>"
    assert vocabulary.tokens[vocabularies.UNKNOWN] == "<unk>"
    assert (vocabularies.PADDING, vocabularies.UNKNOWN) == (0, 1)


def test_frequent_tokens_come_first(vocabulary):
    assert vocabulary.tokens[2:] == ("a", "film", "don't", "\u6620\u753b")


def test_alphabet_decides_between_equal_counts():
    built = vocabularies.build({"c": 2, "a": 2, "d": 3, "b": 2}, size=10)
    assert built.tokens[2:] == ("d", "a", "b", "c")


@pytest.mark.parametrize(("size", "expected"), [(3, 3), (4, 4), (6, 6), (7, 6)])
def test_size_counts_padding_and_the_unknown_token(size, expected):
    built = vocabularies.build({"a": 4, "b": 3, "c": 2, "d": 1}, size)
    assert len(built) == expected
    assert built.tokens[2:] == ("a", "b", "c", "d")[: expected - 2]


def test_unknown_tokens_that_were_counted_are_not_added_again():
    assert vocabularies.build({"<unk>": 9, "<pad>": 8, "a": 1}, 10).tokens == (
        "<pad>",
        "<unk>",
        "a",
    )


def test_order_of_counting_does_not_matter():
    counts = {"a": 1, "b": 1, "c": 2}
    backwards = dict(reversed(counts.items()))
    assert vocabularies.build(counts, 10) == vocabularies.build(backwards, 10)


@pytest.mark.parametrize(("rules", "first"), [(1, "<pad>"), (2, "<pad rules=2>")])
def test_file_has_one_token_a_line_and_says_the_rules(vocabulary, rules, first):
    vocabulary = dataclasses.replace(vocabulary, rules=rules)
    data = f"{first}\n<unk>\na\nfilm\ndon't\n\u6620\u753b\n".encode()
    assert vocabulary.to_bytes() == data
    again = vocabularies.from_bytes(data, "vocabulary.txt")
    assert again == vocabulary
    assert again.digest == vocabulary.digest


def test_fresh_vocabulary_has_the_newest_rules(vocabulary):
    assert vocabulary.rules == text.WORDS


def test_texts_are_encoded_by_the_rules_of_the_vocabulary():
    texts, ids = tf.constant(["<3 film> a\0film &amp; \u2764"]), []
    for first in (b"<pad>", b"<pad rules=2>"):
        data = first + b"\n<unk>\na\nfilm\namp\n\xe2\x9d\xa4\n"
        ids += vocabularies.from_bytes(data, "vocabulary.txt").encode(texts).to_list()
    assert ids == [[2], [1, 3, 2, 3, 5]]  # version 1 loses what follows a NUL


def test_digest_tells_order_tokens_and_rules_apart(vocabulary):
    others = [
        {"tokens": (*vocabulary.tokens[:2], *reversed(vocabulary.tokens[2:]))},
        {"tokens": vocabulary.tokens[:-1]},
        {"rules": 1},
    ]
    changed = {dataclasses.replace(vocabulary, **other).digest for other in others}
    assert len(changed | {vocabulary.digest}) == 4


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
        *(b"<pad rules=%b>\n<unk>\na\n" % rules for rules in (b"", b"0", b"x", b"9" * 9999)),
    ],
)
def test_damaged_file_is_refused_by_name(data):
    with pytest.raises(UserError, match=r"^runs/a/vocabulary.txt: not .*bring back") as raised:
        vocabularies.from_bytes(data, "runs/a/vocabulary.txt")
    assert "\n" not in str(raised.value)


def test_unknown_rules_are_refused_with_the_reason():
    with pytest.raises(UserError) as raised:
        vocabularies.from_bytes(b"<pad rules=9>\n<unk>\na\n", "runs/a/vocabulary.txt")
    assert str(raised.value) == (
        "runs/a/vocabulary.txt: made by version 9 of the text rules, and this version of longhaul "
        "knows 1, 2, 3; use the newer longhaul that wrote it"
    )


def test_lookup_gives_the_lines_of_tokens(vocabulary):
    ids = vocabulary.lookup(
        tf.ragged.constant([["film", "a"], ["\u6620\u753b"], ["don't", "film"]])
    )
    assert ids.to_list() == [[3, 2], [5], [4, 3]]
    assert ids.dtype == tf.int32


def test_lookup_of_a_token_it_does_not_know_is_the_unknown_token(vocabulary):
    ids = vocabulary.lookup(tf.ragged.constant([["films", "a"], ["<unk>"], [""]]))
    assert ids.to_list() == [[1, 2], [1], [1]]


def test_exported_module_that_holds_the_table_looks_up(vocabulary, tmp_path):
    class Lookup(tf.Module):
        def __init__(self):
            super().__init__()
            self.table = vocabulary.table

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
        def __call__(self, tokens):
            return vocabulary.lookup(tf.RaggedTensor.from_row_splits(tokens, [0, 2])).flat_values

    tf.saved_model.save(Lookup(), str(tmp_path))
    again = tf.saved_model.load(str(tmp_path))
    assert again(tf.constant(["film", "films"])).numpy().tolist() == [3, 1]


def test_punctuation_is_required_of_the_rules_that_have_it():
    for rules in text.RULES:
        made = vocabularies.build({"film": 1}, 10, rules)
        made.require_punctuation(False, "the set")
        if rules == text.WORDS_AND_PUNCTUATION:
            made.require_punctuation(True, "the set")
        else:
            with pytest.raises(
                UserError, match=r"config\.data\.punctuation: got True, but the tokens of the set"
            ):
                made.require_punctuation(True, "the set")


def test_vocabulary_of_others_may_be_smaller_than_asked_for_but_not_larger():
    made = vocabularies.build({"film": 1}, 10)
    for most in (3, 4):
        made.require_size(most, "the set")
    with pytest.raises(UserError, match=r"vocabulary_size: got 2, but the set has 3 token ids"):
        made.require_size(2, "the set")
