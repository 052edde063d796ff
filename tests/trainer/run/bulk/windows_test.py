"""Windows of texts: their sizes, and how far ahead they read."""

import itertools

from trainer.run.bulk.windows import windows


def test_windows_keep_all_texts_in_order():
    texts = [str(number) for number in range(11)]
    found = list(windows(texts, most=4))
    assert [len(window) for window in found] == [4, 4, 3]
    assert list(itertools.chain(*found)) == texts
    assert list(windows([])) == []


def test_long_texts_make_short_windows():
    found = list(windows(["x" * 10] * 5 + ["y" * 99] + ["z"], most=4, characters=25))
    assert [len(window) for window in found] == [3, 3, 1]


def test_nothing_is_read_beyond_a_window():
    read = []

    def texts():
        for number in range(1000):
            read.append(number)
            yield "x"

    found = windows(texts(), most=16)
    for count in range(1, 10):
        next(found)
        assert len(read) == 16 * count


def test_what_has_arrived_is_a_window():
    assert list(windows([None, "a", "b", None, None, "c"], most=9)) == [["a", "b"], ["c"]]
