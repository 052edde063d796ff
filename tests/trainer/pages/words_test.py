"""Run with `python -m pytest tests/trainer/pages/words_test.py`."""

from trainer.pages.words import coloured


def test_words_are_tinted_by_their_share_of_the_largest_value():
    html = coloured(["fine", "film", "dull"], [0.5, 0.0, -1.0])
    assert '<span class="word for" style="--tint: 0.35" title="+0.500">fine</span>' in html
    assert '<span title="+0.000">film</span>' in html
    assert '<span class="word against" style="--tint: 0.70" title="-1.000">dull</span>' in html


def test_words_are_escaped():
    assert "<script>" not in coloured(["<script>"], [1.0])


def test_no_words_and_no_values_are_fine():
    assert coloured([], []) == ""
    assert ">a<" in coloured(["a"], [0.0])
