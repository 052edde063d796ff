"""What is printed on pseudo-terminals and into pipes: colours, tables, quiet."""

import contextlib
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.trainer.run.terminals import run_on_terminal, standard_output
from trainer.run import terminal

ESCAPE = "\x1b["
COLOUR = re.compile(r"\x1b\[(?:\d+;)*3[0-8]")
FACTS = {"Data": "sample: " + "word " * 30, "Labels": "[b]'0' is 0[/b]"}


def print_all():
    terminal.say("Epoch: 1/10 Batch: 391/391 Train Loss: 0.436")
    terminal.show(FACTS)
    terminal.result("Test Accuracy: 0.888")


def plain(text):
    return re.sub(r"\x1b\[[\d;]*m", "", text)


def test_pipe_gets_plain_lines_of_any_length(monkeypatch):
    with standard_output(monkeypatch, is_terminal=False) as screen:
        print_all()
    assert screen.text == (
        "Epoch: 1/10 Batch: 391/391 Train Loss: 0.436\n"
        f"Data: {FACTS['Data']}\n"
        "Labels: [b]'0' is 0[/b]\n"
        "Test Accuracy: 0.888\n"
    )


@pytest.mark.parametrize("columns", [40, 80, 120])
def test_terminal_gets_colours_and_facts_as_a_table(monkeypatch, columns):
    with standard_output(monkeypatch, is_terminal=True, columns=columns) as screen:
        print_all()
    assert COLOUR.search(screen.text)
    first, *rows, last = plain(screen.text).splitlines()
    assert first == "Epoch: 1/10 Batch: 391/391 Train Loss: 0.436"
    assert last == "Test Accuracy: 0.888"
    assert all(len(row) <= columns for row in rows)
    assert re.match(r"Data:   sample: word", rows[0])
    assert rows[1].startswith(" " * 8 + "word")
    assert rows[-1].rstrip() == "Labels: [b]'0' is 0[/b]"


@pytest.mark.parametrize(
    ("environment", "pattern"),
    [({"NO_COLOR": "1"}, COLOUR), ({"TERM": "dumb"}, re.compile(re.escape(ESCAPE)))],
    ids=["NO_COLOR", "dumb"],
)
def test_user_can_refuse_colours(monkeypatch, environment, pattern):
    with standard_output(monkeypatch, is_terminal=True, **environment) as screen:
        print_all()
    assert not pattern.search(screen.text)
    assert "Test Accuracy: 0.888" in plain(screen.text)


def test_long_line_is_broken_by_the_terminal_alone(monkeypatch):
    command = "  python -m trainer --workdir=" + "folder/" * 20
    with standard_output(monkeypatch, is_terminal=True, columns=40) as screen:
        terminal.say(command)
    assert plain(screen.text) == f"{command}\n"


@pytest.mark.parametrize("is_terminal", [True, False])
def test_only_results_are_printed_when_quiet(monkeypatch, is_terminal):
    with standard_output(monkeypatch, is_terminal=is_terminal) as screen:
        terminal.be_quiet()
        print_all()
    assert plain(screen.text) == "Test Accuracy: 0.888\n"


def test_worker_whose_output_is_replaced_shows_nothing(monkeypatch):
    with (
        standard_output(monkeypatch, is_terminal=True) as screen,
        Path(os.devnull).open("w") as silence,
        contextlib.redirect_stdout(silence),
    ):
        print_all()
    assert screen.text == ""


def test_terminal_that_is_closed_stops_nothing_whose_output_is_optional():
    program = (
        "from storage import standard_streams as streams\n"
        "streams.guard(); streams.make_output_optional()\n"
        "from trainer.run import terminal\n"
        "terminal.say('ready'); input()\n"
        "terminal.say('a'); terminal.show({'b': 'c'}); terminal.result('d'); streams.finish(0)\n"
    )
    screen, writer = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=subprocess.PIPE, stdout=writer, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        os.close(writer)
        assert b"ready" in os.read(screen, 1000)
        os.close(screen)
        _, errors = process.communicate("\n")
    assert process.returncode == 0
    assert re.fullmatch(r"WARNING: standard output is lost \(.*\); going on without it\n", errors)


def test_training_on_a_terminal_shows_a_summary_a_bar_and_the_result_in_colours(flags, tmp_path):
    flags = [*flags, "--config.train.epochs=1", f"--workdir={tmp_path / 'run'}"]
    code, text = run_on_terminal([sys.executable, "-m", "trainer", *flags])
    assert code == 0, text
    shown = plain(text)
    assert re.search(r"^Training:   1 epoch\(s\) of 41 steps of 16 reviews", shown, re.MULTILINE)
    assert re.search(r"Epoch: 1/1 .* \d+/41 loss \d\.\d{3}, [\d,]+ tokens/s", shown)
    assert f"\n  python -m trainer --workdir={tmp_path / 'run'} --mode=evaluate\n" in shown
    assert re.search(r"\x1b\[1;32mTest Accuracy: \d\.\d{3}\x1b\[0m\n", text)


def test_quiet_training_prints_its_test_result_alone(flags, workdir):
    command = [sys.executable, "-m", "trainer", *flags, f"--workdir={workdir}", "--quiet"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(r"Test Accuracy: \d\.\d{3}\n", done.stdout)
    assert not done.stderr
