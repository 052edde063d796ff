"""Run with `python -m pytest tests/input_pipeline/text_test.py`."""

import hashlib
import itertools
import json
import re
import unicodedata

import numpy as np
import pytest
import tensorflow as tf

from input_pipeline import text
from input_pipeline.sources import sample_corpus

SAMPLE = [review for split in ("train", "test") for review, _ in sample_corpus.reviews(split)]
# What the versions treat differently, or might.
ODD = [
    "I <3 it -> a gem &amp; more\0words\u2026",
    "caf\u00e9 cafe\u0301 \U0001f600\u2764\ufe0f \u6620\u753b \u0e17\u0e35\u0e48 \ud55c\uad6d",
    "<a href='" + "x" * 40 + "'>It\u2019s</a> <!-- no --> 'fine' <b",
]


def tokens(*reviews, rules=text.WORDS):
    """Returns the tokens of each review, as lists of str."""
    rows = text.tokenize(tf.constant(reviews), rules).to_list()
    return [[token.decode() for token in row] for row in rows]


@pytest.fixture(params=[1, text.WORDS])
def rules(request):
    """A version without punctuation."""
    return request.param


def test_quotes_around_words_are_removed_between_any_separators(rules):
    texts = ["".join(parts) for n in range(7) for parts in itertools.product("a'. ", repeat=n)]
    expected = [
        [word for part in re.split("[. ]", review) if (word := part.strip("'"))] for review in texts
    ]
    got = tokens(*texts, rules=rules)
    assert got == [words or [text.UNKNOWN_TOKEN] for words in expected]


def test_tokens_of_a_version_never_change():
    # A trained model depends on them: a change of tokens is a new version.
    digests = {}
    for version in text.RULES:
        made = json.dumps(tokens(*SAMPLE, *ODD, rules=version))
        digests[version] = hashlib.sha256(made.encode()).hexdigest()[:16]
    assert digests == {1: "70dd0d49b95ba5fa", 2: "c23102b608da8991", 3: "704a9b2b2250c66f"}


def test_sample_corpus_has_the_same_tokens_by_all_versions():
    assert tokens(*SAMPLE, rules=1) == tokens(*SAMPLE, rules=text.WORDS)


def test_punctuation_is_added_to_the_words():
    texts = [*SAMPLE, *ODD, "'So-so.' (It's \"fine\"), isn't it?! a; b: 'c' 3.5 &amp; A.I...", "!"]
    with_punctuation = tokens(*texts, rules=text.WORDS_AND_PUNCTUATION)
    words = [[t for t in row if t not in tuple("!?.,;:()")] for row in with_punctuation]
    assert [row or [text.UNKNOWN_TOKEN] for row in words] == tokens(*texts, rules=text.WORDS)
    assert with_punctuation[-1] == ["!"]
    assert " ".join(with_punctuation[-2]) == (
        "so so . ( it's fine ) , isn't it ? ! a ; b : c 3 . 5 a . i . . ."
    )


@pytest.mark.parametrize(
    ("review", "expected"),
    [
        ("A Fine FILM", "a fine film"),
        ("  a\tfine\r\nfilm\n", "a fine film"),
        ("Fine, a film.", "fine a film"),
        ("wait...what?!", "wait what"),
        ("well-made (mostly); 'so-so'", "well made mostly so so"),
        ("a_b/c*d", "a b c d"),
        ("fine film\u2026", "fine film"),
        ("8/10, or 3.5 of 5", "8 10 or 3 5 of 5"),
        ("the 1990s", "the 1990s"),
    ],
)
def test_tokens_are_lower_case_without_punctuation(review, expected, rules):
    assert tokens(review, rules=rules) == [expected.split()]


@pytest.mark.parametrize(
    ("review", "expected"),
    [
        ("fine.<br /><br />A film", "fine a film"),
        ("fine<br/>film<BR>now", "fine film now"),
        ("a <b>fine</b> <i class='x'>film</i>", "a fine film"),
        ("I <3 it", "i 3 it"),
        ("2 > 1 and 1 < 2", "2 1 and 1 2"),
        ("< " + "a" * 40 + " >", "a" * 40),
        ("<unk> <pad> film", "film"),
    ],
)
def test_tags_are_no_tokens(review, expected, rules):
    assert tokens(review, rules=rules) == [expected.split()]


@pytest.mark.parametrize(
    ("review", "expected"),
    [
        ("don't", "don't"),
        ("rock'n'roll", "rock'n'roll"),
        ("the actors' film", "the actors film"),
        ("'tis", "tis"),
        ("a 'fine' film", "a fine film"),
        ("''fine''", "fine"),
        ("'It's fine'", "it's fine"),
        ("a ' ' b", "a b"),
        ("'fine' 'film'", "fine film"),
        ("the actors' 'fine' film", "the actors fine film"),
        ("'a' 'b' 'c'", "a b c"),
    ],
)
def test_apostrophes_stay_within_words_only(review, expected, rules):
    assert tokens(review, rules=rules) == [expected.split()]


def test_curly_apostrophes_are_as_straight_ones(rules):
    curly = "\u2018Don\u2019t\u2019 the actors\u2019 \u2018fine\u2019 \u201cfilm\u201d"
    assert tokens(curly, rules=rules) == [["don't", "the", "actors", "fine", "film"]]


@pytest.mark.parametrize(
    ("review", "expected"),
    [
        ("\u00dcBER Stra\u00dfe", ["\u00fcber", "stra\u00dfe"]),
        ("\u041f\u0420\u0418\u0412\u0415\u0422, \u043c\u0438\u0440!", ["привет", "мир"]),
        ("\u0915\u093f\u0924\u093e\u092c", ["\u0915\u093f\u0924\u093e\u092c"]),
        ("q\u0301", ["q\u0301"]),
        ("\u0663\u0664", ["\u0663\u0664"]),
    ],
    ids=["latin", "cyrillic", "devanagari", "combining", "digits"],
)
def test_other_scripts_are_kept(review, expected, rules):
    assert tokens(review, rules=rules) == [expected]


@pytest.mark.parametrize("review", ["", " ", "...!?", "<br /><br />", "'", "' '' '''", "<unk>"])
def test_review_without_a_word_is_one_unknown_token(review, rules):
    assert tokens(review, rules=rules) == [[text.UNKNOWN_TOKEN]]


def test_unknown_token_is_no_token_of_a_review(rules):
    for row in tokens("unk <unk>", "<unk", "&lt;unk&gt;", "<<unk>>a", "< unk> a", rules=rules):
        assert text.UNKNOWN_TOKEN not in row


def test_reviews_do_not_touch_each_other():
    assert tokens("a fine film", "", "caf&eacute;", "bad", "cafe\u0301") == [
        ["a", "fine", "film"],
        [text.UNKNOWN_TOKEN],
        ["caf\u00e9"],
        ["bad"],
        ["caf\u00e9"],
    ]


def test_no_reviews_have_no_tokens(rules):
    assert text.tokenize(tf.constant([], tf.string), rules).to_list() == []


@pytest.mark.parametrize(
    ("review", "expected"),
    [
        ("I <3 it -> a gem", "i 3 it a gem"),
        ("2 < 3 films > 1 film", "2 3 films 1 film"),
        ("great<br", "great br"),
        ("a <b fine film", "a b fine film"),
        ("<john@x.com>", "john x com"),
        (f"a <a href='http://{'x' * 99}'>link</a>", "a link"),
        ('a <a title="x > y" href=z>link</a> y', "a link y"),
        ("a <a title='x>link</a> isn't", "a link isn't"),
        ("a<!-- no <b>no</b> -> no\n-->film", "a film"),
        ("a <!-- fine film", "a fine film"),
        ("<!DOCTYPE html><?xml version='1.0'?>fine</P\n>film", "fine film"),
    ],
)
def test_only_what_begins_and_ends_like_a_tag_is_one(review, expected):
    assert tokens(review) == [expected.split()]


@pytest.mark.parametrize("nul", ["\0", "&#0;", " \0 "])
def test_nul_separates_words(nul):
    assert tokens(f"a fine{nul}film") == [["a", "fine", "film"]]


@pytest.mark.parametrize(
    ("review", "expected"),
    [
        ("don&#39;t don&#x27;t don&apos;t don&rsquo;t don&#146;t", ["don't"] * 5),
        ("a&nbsp;film&hellip;&quot;fine&quot;&mdash;so", ["a", "film", "fine", "so"]),
        ("AT&amp;T, R&B; fish&chips", ["at", "t", "r", "b", "fish", "chips"]),
        ("&Eacute;t&eacute; &#201;t&#233; &#xC9;T&#XE9; E&#769;te&#769;", ["\u00e9t\u00e9"] * 4),
        ("&hearts; &#128512;", ["\u2665", "\U0001f600"]),
        ("&lt;b&gt;fine&lt;/b&gt;", ["b", "fine", "b"]),
        ("&amp;lt; &bogus;", ["lt", "bogus"]),
        ("a&#xD800;b&#9999999;c&#55555555;", ["a", "b", "c", "55555555"]),
        ("im&shy;por\xadtant", ["important"]),
    ],
)
def test_entities_are_decoded_once_after_tags_were_removed(review, expected):
    assert tokens(review) == [expected]


@pytest.mark.parametrize(
    ("review", "expected"),
    [
        ("fine\U0001f600film", ["fine", "\U0001f600", "film"]),
        ("\u2764\ufe0f\u2764 \u2639\ufe0f", ["\u2764", "\u2764", "\u2639"]),
        ("a \ufe0f b\ufe0f", ["a", "b"]),
        ("\U0001f44d\U0001f3fd\U0001f44d", ["\U0001f44d"] * 2),
        ("\U0001f468\u200d\U0001f467", ["\U0001f468", "\U0001f467"]),
        (
            "\U0001f1e9\U0001f1ea\U0001f1eb\U0001f1f7",
            ["\U0001f1e9\U0001f1ea", "\U0001f1eb\U0001f1f7"],
        ),
        ("1\ufe0f\u20e3", ["1"]),
        ("\u2605\u2605\u2606", ["\u2605", "\u2605", "\u2606"]),
    ],
    ids=["face", "heart", "selector", "skin", "sequence", "flags", "keycap", "stars"],
)
def test_emoji_are_tokens(review, expected):
    assert tokens(review) == [expected]


@pytest.mark.parametrize(
    ("review", "expected"),
    [
        ("\u6620\u753b\u3001love\u597d\u304d\u3002", "\u6620 \u753b love \u597d \u304d"),
        ("\u30ab\u30fc\u30fc\u304b\u3099", "\u30ab \u30fc \u30fc \u304c"),
        (
            "\u0e14\u0e35\u0e21\u0e32\u0e01\u0e17\u0e35\u0e48",
            "\u0e14\u0e35 \u0e21 \u0e32 \u0e01 \u0e17\u0e35\u0e48",
        ),
        ("\ud55c\uad6d\uc5b4 \uc601\ud654", "\ud55c\uad6d\uc5b4 \uc601\ud654"),
    ],
    ids=["ideographs", "kana", "thai", "hangul"],
)
def test_scripts_without_spaces_are_split_into_characters(review, expected):
    assert tokens(review) == [expected.split()]


@pytest.mark.parametrize(
    "words",
    [
        "\u00c9t\u00e9 \u00fcber",
        "ph\u1edf t\u1ec7",
        "\u0451\u0439 \u03b0 \u0622\u0628",
        "\u304c \ud55c\uad6d \uac00",
    ],
)
def test_composed_and_decomposed_letters_are_the_same(words):
    composed, decomposed = tokens(*(unicodedata.normalize(form, words) for form in ("NFC", "NFD")))
    assert composed == decomposed
    assert "".join(composed) == words.lower().replace(" ", "")


def test_saved_model_gives_the_same_tokens(tmp_path, rules):
    class Tokens(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
        def __call__(self, reviews):
            return text.tokenize(reviews, rules).to_tensor()

    tf.saved_model.save(Tokens(), str(tmp_path))
    expected = text.tokenize(tf.constant(ODD), rules).to_tensor()
    assert (
        tf.saved_model.load(str(tmp_path))(tf.constant(ODD)).numpy().tolist()
        == expected.numpy().tolist()
    )


def kept(ids, cap, keep):
    """Returns what `keep_tokens` keeps of a list, in plain Python."""
    if len(ids) <= cap:
        return ids
    head = {"head": cap, "tail": 0, "head_tail": cap // 2}[keep]
    return ids[:head] + ids[len(ids) - (cap - head) :]


@pytest.mark.parametrize("keep", ["head", "tail", "head_tail"])
@pytest.mark.parametrize("cap", [1, 2, 5, 6, 9, 40])
def test_kept_tokens_are_those_of_slices(cap, keep):
    # Below, at and above the cap, and more than twice it.
    rows = [[100 * length + i for i in range(length)] for length in range(1, 21)]
    ids = tf.ragged.constant(rows, tf.int32)
    expected = [kept(row, cap, keep) for row in rows]
    assert text.keep_tokens(ids, cap, keep).to_list() == expected
    lengths = np.array([len(row) for row in rows], np.uint32)
    mask = text.kept_tokens(lengths, cap, keep)
    assert np.concatenate(rows)[mask].tolist() == [token for row in expected for token in row]


def test_nothing_is_kept_of_no_reviews():
    assert text.kept_tokens(np.zeros(0, np.int64), 2, "head").tolist() == []


def test_kept_tokens_have_the_same_type():
    ids = text.keep_tokens(tf.ragged.constant([[1, 2, 3]], tf.int32), 2, "head")
    assert (ids.dtype, ids.shape.rank) == (tf.int32, 2)
