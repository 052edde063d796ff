"""The progress bar on a terminal and elsewhere."""

import io
import sys

import pytest

from trainer.run.progress_bar import ProgressBar


class Terminal(io.StringIO):
    """A stream that reports that it is a terminal."""

    def isatty(self):
        return True


@pytest.mark.parametrize(("stream", "shows"), [(Terminal, True), (io.StringIO, False)])
def test_bar_shows_steps_time_left_and_loss_on_a_terminal_only(monkeypatch, stream, shows):
    monkeypatch.setattr(sys, "stderr", stream())
    bar = ProgressBar(epoch=2, epochs=3, steps=4, first_step=1)
    bar.advance(reviews=64, tokens=14_000, loss=0.4321)
    bar._bar.refresh()  # tqdm does this itself every tenth of a second
    shown = sys.stderr.getvalue()
    bar.close()
    if shows:
        assert "Epoch 2/3  50%" in shown
        assert "2/4 [" in shown
        assert " left, " in shown
        assert "loss 0.432" in shown
    else:
        assert not shown
