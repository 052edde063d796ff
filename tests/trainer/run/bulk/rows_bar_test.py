"""Lines about the progress where there is no terminal."""

import pytest

from trainer.run.bulk.rows_bar import RowsBar


def test_a_line_is_printed_each_half_minute(capsys):
    times = [0.0]
    bar = RowsBar(total=10_000, done=4000, now=lambda: times[0])
    for times[0] in (10.0, 29.0, 31.0, 50.0, 62.0):
        bar.advance(1000)
    bar.close()
    first, second = capsys.readouterr().out.splitlines()
    assert first == "  Predicted 7,000 of 10,000 rows: 97 rows/s, 31 s left"
    assert second == "  Predicted 9,000 of 10,000 rows: 81 rows/s, 12 s left"
    assert bar.rate() == pytest.approx(5000 / 62)
