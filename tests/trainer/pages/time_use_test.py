"""The time of a run, by start and by cause."""

import math

import pytest

from tests.trainer.pages.records import TIME, epochs, line
from trainer.pages import time_use


@pytest.fixture
def resumed():
    """Two starts: the first was stopped 20 seconds after its epoch, the second made an epoch."""
    return [
        line("train", 5, start=1, seconds=50),
        line("epoch", 10, TIME, start=1, seconds=100),
        line("train", 14, start=1, seconds=120),
        line("train", 18, start=4, seconds=30),
        line("epoch", 20, {"training": 0.4, "start": 0.6}, start=4, seconds=50),
        line("validation", 20, loss=0.3),
        line("test", 20, loss=0.3),
    ]


def texts(table):
    return [[cell.text for cell in row] for row in table.rows]


def test_starts_have_their_steps_and_seconds_by_cause(resumed):
    first, second = time_use.starts_of(resumed)
    assert (first.number, first.first_step, first.last_step, first.seconds) == (1, 5, 14, 120)
    assert first.causes == pytest.approx(
        {"start": 20, "training": 70, "compile": 5, "evaluation": 5, time_use.LATER: 20}
    )
    assert first.goodput == pytest.approx(0.7)
    assert (second.number, second.seconds, second.goodput) == (4, 50, pytest.approx(0.4))
    assert time_use.restarts([first, second]) == [14]


def test_table_has_a_row_a_start_and_their_sum(resumed):
    table = time_use.table(time_use.starts_of(resumed))
    assert table.headings == [
        *("start", "steps", "time", "after its last epoch", "goodput"),
        *("compile", "evaluation", "starting"),
    ]
    assert texts(table) == [
        ["1", "5 to 14", "2 min", "20 s", "70.0%", "5.0%", "5.0%", "20.0%"],
        ["4", "18 to 20", "50 s", "-", "40.0%", "0.0%", "0.0%", "60.0%"],
        ["sum", "5 to 20", "2 min 50 s", "20 s", "60.0%", "3.3%", "3.3%", "33.3%"],
    ]


def test_start_without_an_epoch_has_no_causes(resumed):
    (start,) = time_use.starts_of(resumed[:1])
    assert start.causes == {time_use.LATER: 50}
    assert math.isnan(start.goodput)
    assert texts(time_use.table([start])) == [["1", "5 to 5", "50 s", "50 s", "-"]]


def test_lines_of_an_earlier_version_give_fractions_without_seconds():
    starts = time_use.starts_of(epochs([(0.6, 0.5, 0.8), (0.3, 0.4, 0.9)]))
    (start,) = starts
    assert (start.number, start.causes) == (None, TIME)
    assert math.isnan(start.seconds)
    assert time_use.summed(starts) is None
    (row,) = texts(time_use.table(starts))
    assert row[:5] == ["-", "9 to 20", "-", "-", "70.0%"]
    assert "fraction of the time" in time_use.drawing(starts).svg


def test_bars_are_fractions_for_all_starts_when_the_first_does_not_say_its_seconds():
    older, newer = line("epoch", 10, TIME), line("epoch", 20, TIME, start=2, seconds=50)
    figures = [
        time_use.drawing(time_use.starts_of(lines)).svg.partition(">")[2]
        for lines in ([older, newer], [older, line("epoch", 20, TIME, start=2, seconds=5000)])
    ]
    assert figures[0] == figures[1]
    assert "fraction of the time" in figures[0]


def test_bars_are_of_each_start_or_of_the_sum_when_there_are_many(resumed):
    drawing = time_use.drawing(time_use.starts_of(resumed))
    assert "start 4 50 s, goodput 40.0%" in drawing.svg
    many = [line("epoch", n, TIME, start=n, seconds=10) for n in range(1, 40)]
    drawing = time_use.drawing(time_use.starts_of(many))
    assert "the run 6 min 30 s, goodput 70.0%" in drawing.svg


def test_no_lines_have_no_bars():
    assert time_use.starts_of([]) == []
    assert time_use.drawing([]) is None
    assert time_use.drawing(time_use.starts_of([line("train", 1, loss=1)])) is None
