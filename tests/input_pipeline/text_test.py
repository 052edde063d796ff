"""Run with `python -m pytest tests/input_pipeline/text_test.py`."""

import pytest
import tensorflow as tf

from input_pipeline import text


def tokens(*reviews):
    """Returns the tokens of each review, as lists of str."""
    rows = text.tokenize(tf.constant(reviews)).to_list()
    return [[token.decode() for token in row] for row in rows]


@pytest.mark.parametrize(
    ("review", "expected"),
    [
        ("A Fine FILM", "a fine film"),
        ("  a\tfine\r\nfilm\n", "a fine film"),
        ("Fine, a film.", "fine a film"),
        ("wait...what?!", "wait what"),
        ("well-made (mostly); 'so-so'", "well made mostly so so"),
        ("a_b/c*d", "a b c d"),
        ("fine \U0001f600 film\u2026", "fine film"),
        ("8/10, or 3.5 of 5", "8 10 or 3 5 of 5"),
        ("the 1990s", "the 1990s"),
    ],
)
def test_tokens_are_lower_case_without_punctuation(review, expected):
    assert tokens(review) == [expected.split()]


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
def test_tags_are_no_tokens(review, expected):
    assert tokens(review) == [expected.split()]


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
def test_apostrophes_stay_within_words_only(review, expected):
    assert tokens(review) == [expected.split()]


def test_curly_apostrophes_are_as_straight_ones():
    curly = "\u2018Don\u2019t\u2019 the actors\u2019 \u2018fine\u2019 \u201cfilm\u201d"
    assert tokens(curly) == [["don't", "the", "actors", "fine", "film"]]


@pytest.mark.parametrize(
    ("review", "expected"),
    [
        ("\u00dcBER Stra\u00dfe", ["\u00fcber", "stra\u00dfe"]),
        ("\u041f\u0420\u0418\u0412\u0415\u0422, \u043c\u0438\u0440!", ["привет", "мир"]),
        ("\u6620\u753b\u3001\u597d\u304d\u3002", ["\u6620\u753b", "\u597d\u304d"]),
        ("\u0915\u093f\u0924\u093e\u092c", ["\u0915\u093f\u0924\u093e\u092c"]),
        ("cafe\u0301", ["cafe\u0301"]),
        ("\u0663\u0664", ["\u0663\u0664"]),
    ],
    ids=["latin", "cyrillic", "japanese", "devanagari", "combining", "digits"],
)
def test_other_scripts_are_kept(review, expected):
    assert tokens(review) == [expected]


@pytest.mark.parametrize("review", ["", " ", "...!?", "<br /><br />", "'", "' '' '''", "<unk>"])
def test_review_without_a_word_is_one_unknown_token(review):
    assert tokens(review) == [[text.UNKNOWN_TOKEN]]


def test_unknown_token_is_no_token_of_a_review():
    for row in tokens("unk <unk>", "<unk", "unk>", "<<unk>>a", "< unk> a"):
        assert text.UNKNOWN_TOKEN not in row


def test_reviews_do_not_touch_each_other():
    assert tokens("a fine film", "", "bad") == [
        ["a", "fine", "film"],
        [text.UNKNOWN_TOKEN],
        ["bad"],
    ]


def test_graph_gives_the_same_tokens():
    reviews = tf.constant(["It's <b>great</b>!<br />Go.", ""])
    in_graph = tf.function(text.tokenize)(reviews)
    assert in_graph.to_list() == text.tokenize(reviews).to_list()


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
    assert text.keep_tokens(ids, cap, keep).to_list() == [kept(row, cap, keep) for row in rows]


def test_kept_tokens_have_the_same_type():
    ids = text.keep_tokens(tf.ragged.constant([[1, 2, 3]], tf.int32), 2, "head")
    assert (ids.dtype, ids.shape.rank) == (tf.int32, 2)
