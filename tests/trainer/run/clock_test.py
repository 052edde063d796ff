"""The division of wall time by cause, and rates."""

import pytest

from trainer.run.clock import Clock, Rate, in_words


class Time:
    """A clock that moves only when a test changes `seconds`."""

    def __init__(self):
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


def test_wall_time_is_divided_by_cause():
    time = Time()
    clock = Clock(now=time, started=90.0)
    clock.end_start()
    with clock.timed("training"):
        time.seconds += 70
    clock.move("training", "input wait", 10)
    with pytest.raises(KeyError), clock.timed("checkpoint"):
        time.seconds += 15
        raise KeyError
    time.seconds += 5
    assert clock.fractions() == pytest.approx(
        {"start": 0.1, "training": 0.6, "input wait": 0.1, "checkpoint": 0.15, "other": 0.05}
    )


def test_rates_count_from_the_last_restart():
    rate = Rate()
    rate.add(reviews=40, tokens=4_000, seconds=3)
    rate.add(reviews=24, tokens=6_000, seconds=1)
    assert rate.values() == {"reviews_per_second": 16, "tokens_per_second": 2500}
    rate.restart()
    rate.add(reviews=8, tokens=80, seconds=2)
    assert rate.values() == {"reviews_per_second": 4, "tokens_per_second": 40}


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.2, "0 s"), (45, "45 s"), (59.6, "1 min"), (200, "3 min 20 s"), (3600, "1 h"),
        (7502, "2 h 5 min"), (3605, "1 h"), (273_600, "3 d 4 h"),
    ],
)  # fmt: skip
def test_time_is_told_in_its_two_largest_units(seconds, words):
    assert in_words(seconds) == words
