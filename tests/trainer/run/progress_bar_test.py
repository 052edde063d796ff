"""The progress of an epoch on a pseudo-terminal, in a pipe and with --quiet."""

import os
import pty
import re
import subprocess
import sys

import pytest

from tests.trainer.run.clock_test import Time
from tests.trainer.run.terminals import standard_output
from trainer.run import terminal
from trainer.run.progress_bar import ProgressBar
from trainer.run.time_left import TimeLeft


def train(steps, seconds, work=10e6):
    """Does steps of 64 reviews and 10,000 tokens with a progress bar."""
    time = Time()
    bar = ProgressBar(2, 3, 360, 100, TimeLeft(work, time), 1.0, time)
    for step in range(steps):
        time.seconds += seconds
        bar.advance(reviews=64, tokens=10_000, seconds=seconds, loss=0.4321)
        if step == 40:
            terminal.say("A line meanwhile")
    bar.close()


def test_pipe_gets_a_line_each_half_minute(monkeypatch):
    with standard_output(monkeypatch, is_terminal=False) as screen:
        train(steps=130, seconds=0.5)
    assert screen.text.splitlines() == [
        "About 8 min 14 s to the end of the last epoch and the test, at 20,000 tokens/s",
        "A line meanwhile",
        "  Step 160/360 of epoch 2/3: loss 0.432, 128 reviews/s, 20,000 tokens/s, 7 min 50 s left",
        "  Step 220/360 of epoch 2/3: loss 0.432, 128 reviews/s, 20,000 tokens/s, 7 min 20 s left",
    ]


def test_terminal_gets_a_bar_that_is_cleared(monkeypatch):
    with standard_output(monkeypatch, is_terminal=True, columns=80) as screen:
        train(steps=130, seconds=0.5)
    shown = re.sub(r"\x1b\[[\d;]*m", "", screen.text)
    assert "Epoch: 2/3" in shown
    assert "230/360 loss 0.432, 20,000 tokens/s, 7 min 15 s left" in shown
    assert "A line meanwhile\n" in shown
    assert "\x1b[?25l" not in shown  # the cursor stays, in case that the process is killed
    assert shown.endswith("\x1b[2K")


def test_terminal_that_is_closed_while_the_bar_moves_stops_nothing():
    program = (
        "from storage import standard_streams as streams\n"
        "streams.guard(); streams.make_output_optional()\n"
        "from trainer.run.progress_bar import ProgressBar\n"
        "from trainer.run.time_left import TimeLeft\n"
        "bar = ProgressBar(1, 1, 2, 0, TimeLeft(1e6), 1.0); input()\n"
        "from trainer.run import terminal; terminal.say('a line meanwhile')\n"
        "bar.advance(1, 1, 1.0, 0.5); bar.close(); streams.finish(0)\n"
    )
    screen, writer = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=subprocess.PIPE, stdout=writer, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        os.close(writer)
        shown = b""
        while b"Epoch" not in shown:
            shown += os.read(screen, 1000)
        os.close(screen)
        _, errors = process.communicate("\n")
    assert process.returncode == 0, errors
    assert re.search(r"^WARNING: standard output is lost \(.*\); going on", errors, re.MULTILINE)


@pytest.mark.parametrize("is_terminal", [True, False])
def test_nothing_is_shown_when_quiet(monkeypatch, is_terminal):
    with standard_output(monkeypatch, is_terminal=is_terminal) as screen:
        terminal.be_quiet()
        train(steps=130, seconds=0.5)
    assert screen.text == ""
