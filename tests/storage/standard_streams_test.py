"""Programs whose standard streams are closed, on a full disk, or a pipe that nobody reads."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
GUARD = "import sys; from storage import standard_streams; standard_streams.guard()\n"
NEEDED = GUARD + "print('a'); standard_streams.finish(0)"
OPTIONAL = NEEDED.replace("print", "standard_streams.make_output_optional(); print")
FULL, CLOSED = "No space left on device", "closed"
WARNING = "WARNING: standard output is lost ({}); going on without it\n"
ERROR = "error: standard output can't be written ({}); give it another place\n"


def run(program, redirections="", *arguments, stdout=subprocess.PIPE):
    """Runs a Python program with a shell's redirections; returns its code, output and errors."""
    command = ["sh", "-c", f'exec "$@" {redirections}', "sh", sys.executable, "-c", program]
    done = subprocess.run(
        [*command, *map(str, arguments)],
        cwd=REPOSITORY, stdout=stdout, stderr=subprocess.PIPE, text=True, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout or "", done.stderr


@pytest.mark.parametrize(
    ("redirections", "needed", "optional"),
    [
        (">/dev/full", (1, "", ERROR.format(FULL)), (0, "", WARNING.format(FULL))),
        (">&-", (1, "", ERROR.format(CLOSED)), (0, "", WARNING.format(CLOSED))),
        ("2>/dev/full", (0, "a\n", ""), (0, "a\n", "")),
        ("2>&-", (0, "a\n", ""), (0, "a\n", "")),
        ("<&- >&- 2>&-", (1, "", ""), (0, "", "")),
    ],
)
def test_lost_output_is_an_error_unless_it_is_optional(redirections, needed, optional):
    assert run(NEEDED, redirections) == needed
    assert run(OPTIONAL, redirections) == optional


def test_pipe_that_nobody_reads_ends_a_program_quietly_unless_its_output_is_optional():
    reader, writer = os.pipe()
    os.close(reader)
    assert run(NEEDED + "; print('b')", stdout=writer) == (0, "", "")
    assert run(OPTIONAL, stdout=writer) == (0, "", WARNING.format("Broken pipe"))
    os.close(writer)


def test_lost_output_does_not_change_the_exit_code_of_a_program_that_has_failed():
    failed = NEEDED.replace("finish(0)", "finish('error: x'); sys.exit('error: x')")
    assert run(failed, ">/dev/full") == (1, "", "error: x\n")


def test_file_does_not_get_what_is_printed_to_a_closed_stream(tmp_path):
    program = (
        "file = open(sys.argv[1], 'w'); print('a'); print('b', file=sys.stderr); file.write('c');"
        "file.close(); sys.exit(sys.stdin.read() != '')"
    )
    program = GUARD + "standard_streams.make_output_optional()\n" + program
    assert run(program, "<&- >&- 2>&-", tmp_path / "file")[0] == 0
    assert (tmp_path / "file").read_text() == "c"


def test_file_name_that_is_not_utf8_can_be_printed():
    program = GUARD + "print('caf\\udce9'); standard_streams.finish(0)"
    assert run(program) == (0, "caf\\udce9\n", "")
