"""Run with `python -m pytest tests/configs/schema/command_line_test.py`.

Most tests run `python -m trainer` with flags that are wrong, which ends before TensorFlow is
imported.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from configs import default
from configs.schema import command_line, rules
from storage.errors import UserError

ROOT = Path(__file__).resolve().parents[3]
SAMPLE = "--config=configs/sample.py"


@pytest.fixture
def complaint(tmp_path):
    """Returns a function that runs the trainer and returns the line that refuses its flags.

    The trainer runs in a folder outside the repository.
    """

    def run(*flags):
        done = subprocess.run(
            [sys.executable, "-m", "trainer", f"--workdir={tmp_path / 'run'}", *flags],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert "Traceback" not in done.stderr, done.stderr
        assert done.returncode == 1
        assert done.stdout == ""
        assert len(done.stderr.splitlines()) == 1, done.stderr
        assert done.stderr.startswith("error: ")
        assert not (tmp_path / "run").exists()
        return done.stderr

    return run


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("train.epochs", "0"),
        ("train.epochs", "two"),
        ("train.epochs", "2.5"),
        ("model.dropout", "high"),
        ("model.bidirectional", "maybe"),
        ("model.layer_sizes", "64,x"),
        ("model.layer_sizes", "64;import"),
        ("model.layer_sizes", "64,1.5"),
    ],
)
def test_bad_value_names_the_field_the_value_and_what_is_accepted(complaint, field, value):
    line = complaint(SAMPLE, f"--config.{field}={value}")
    assert f"config.{field}" in line
    assert value.partition(",")[0] in line
    assert rules.RULES[field].accepted in line


def test_of_a_field_given_twice_the_last_value_counts(complaint):
    sizes = ("--config.model.layer_sizes=16", "--config.model.layer_sizes", "0,8")
    assert "config.model.layer_sizes: got (0, 8), accepted is" in complaint(SAMPLE, *sizes)


def test_unknown_field_is_named_with_one_like_it(complaint):
    line = complaint(SAMPLE, "--config.train.epoch=2")
    assert "config.train.epoch" in line
    assert "epochs" in line
    assert "\\n" not in line


def test_field_of_a_field_is_refused(complaint):
    assert "config.train.epochs.x" in complaint(SAMPLE, "--config.train.epochs.x=2")


def test_misspelt_mode_names_the_modes(complaint):
    line = complaint(SAMPLE, "--mode=evalaute")
    assert "mode" in line
    assert all(mode in line for mode in ("train_and_evaluate", "evaluate", "predict"))


def test_misspelt_flag_is_named_with_one_like_it(complaint):
    line = complaint(SAMPLE, "--chekpoint=last")
    assert "chekpoint" in line
    assert "checkpoint" in line


@pytest.mark.parametrize("flags", [["--config=configs/imbd.py"], ["--config", "configs/imbd.py"]])
def test_missing_config_file_names_the_installed_ones(complaint, flags):
    line = complaint(*flags)
    assert line.startswith("error: --config: configs/imbd.py does not exist")
    assert all(name in line for name in ("default.py", "imdb.py", "sample.py"))


def test_only_configs_are_offered(complaint):
    line = complaint("--config=configs/imbd.py")
    assert "__init__.py" not in line
    assert "schema" not in line


def test_missing_config_is_asked_for(complaint):
    assert "configs/sample.py" in complaint()


@pytest.mark.parametrize(
    ("source", "named"),
    [
        ("def get_config(:", "line 1"),
        ("CONFIG = {}", "get_config"),
        ("import no_such_module", "no_such_module"),
    ],
    ids=["syntax", "without get_config", "import"],
)
def test_faulty_config_file_is_named_with_its_fault(complaint, tmp_path, source, named):
    (tmp_path / "mine.py").write_text(source)
    line = complaint("--config=mine.py")
    assert "mine.py" in line
    assert named in line


def test_own_config_takes_precedence_over_the_installed_one(complaint, tmp_path):
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "sample.py").write_text(
        "from configs import default\n"
        "def get_config():\n"
        "    config = default.get_config()\n"
        "    config.train.epochs = -7\n"
        "    return config\n"
    )
    assert "config.train.epochs: got -7" in complaint(SAMPLE)


def test_argument_that_is_no_flag_is_refused(complaint):
    assert "'film'" in complaint(SAMPLE, "film")


def test_override_without_a_config_asks_for_one(complaint):
    assert "give --config=FILE" in complaint("--mode=evaluate", "--config.data.dir=reviews")


OVER_DEFAULT = "from configs import default\n\n\ndef get_config():\n    return {}\n"


@pytest.mark.parametrize(
    ("source", "named"),
    [
        ("import sys; sys.exit(0)", "mine.py:1: SystemExit: 0"),
        ("raise SystemExit('bye')", "mine.py:1: SystemExit: bye"),
        ("raise SystemExit('error: bye')", "mine.py:1: bye"),
        ("raise ValueError('one\\ntwo')", "mine.py:1: two"),
        ("raise AttributeError", "mine.py:1: AttributeError: no reason given"),
        ("1 / 0", "mine.py:1: ZeroDivisionError: division by zero"),
        ("open('a')", "OSError: [Errno 2] No such file or directory: 'a'"),
        (
            OVER_DEFAULT.format("open('a')"),
            "mine.py:5: FileNotFoundError: [Errno 2] No such file or directory: 'a'",
        ),
        (OVER_DEFAULT.format("int('a')"), None),
        (OVER_DEFAULT.format("default.get_config().seed.a"), None),
        (
            OVER_DEFAULT.format("default.get_config().sed"),
            """mine.py:5: AttributeError: 'sed' Did you mean "seed" instead of "sed"?""",
        ),
    ],
)
def test_config_file_that_exits_or_raises_is_named_with_the_line(
    complaint, tmp_path, source, named
):
    (tmp_path / "mine.py").write_text(source)
    line = complaint("--config=mine.py")
    if named is None:
        assert line.startswith("error: --config: mine.py can't be used (mine.py:5: ")
    else:
        assert line == f"error: --config: mine.py can't be used ({named})\n"


def test_error_in_a_file_beside_the_config_is_named_with_its_line(complaint, tmp_path):
    (tmp_path / "my").mkdir()
    (tmp_path / "my" / "mine.py").write_text("import beside\n")
    (tmp_path / "my" / "beside.py").write_text("\n1 / 0\n")
    line = complaint("--config=my/mine.py")
    assert "my/mine.py can't be used (beside.py:2: ZeroDivisionError" in line


def test_file_beside_a_config_hides_no_module(complaint, tmp_path):
    (tmp_path / "my").mkdir()
    (tmp_path / "my" / "mine.py").write_text(
        "import storage.errors, json\nraise ValueError('fine')\n"
    )
    (tmp_path / "my" / "json.py").write_text("1 / 0\n")
    (tmp_path / "my" / "storage.py").write_text("1 / 0\n")
    assert "mine.py:2: ValueError: fine" in complaint("--config=my/mine.py")


def test_config_file_without_a_config_is_named(tmp_path):
    (tmp_path / "mine.py").write_text("def get_config(): pass")
    command = [sys.executable, "-m", "trainer", "--workdir=run", f"--config={tmp_path / 'mine.py'}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "mine.py can't be used: its get_config() returns no" in done.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("flags", "arguments"),
    [
        (["--config", "c.py"], ["--config=c.py"]),
        (["--config=c.py", "--config.seed", "5"], ["--config=c.py", "--config.seed=5"]),
        (["--config.data.dir", "--a b", "--x"], ["--config.data.dir=--a b"]),
        (["--config.model.bidirectional", "--x=1"], ["--config.model.bidirectional=true"]),
        (["-noconfig.model.bidirectional"], ["--config.model.bidirectional=false"]),
    ],
)
def test_arguments_of_a_config_are_handed_on_in_one_form(flags, arguments):
    assert command_line.config_arguments(flags) == arguments


def test_flagfile_is_not_handed_on():
    with pytest.raises(SystemExit, match="--flagfile: what is in it can't be handed on"):
        command_line.config_arguments(["--config=c.py", "--flagfile=f"])


COMMANDS = {
    "longhaul": ("trainer", {"--config", "--workdir", "--mode", "--checkpoint", "--text"}),
    "longhaul-submit": ("deploy.submit", {"--config", "--workdir", "--target", "--region"}),
}


@pytest.mark.parametrize("script", COMMANDS)
def test_console_script_and_module_show_the_same_help(script):
    module, flags = COMMANDS[script]
    ways = [[sys.executable, "-m", module], [str(Path(sys.executable).with_name(script))]]
    shown = []
    for way in ways:
        done = subprocess.run(
            [*way, "--help"], cwd=ROOT, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        shown.append(done.stdout)
    assert shown[0] == shown[1]
    assert flags <= {word.rstrip(":") for word in shown[0].split()}


def test_help_stops_quietly_when_its_reader_does():
    command = f"{sys.executable} -m trainer --helpfull | true; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(
        ["bash", "-c", command], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_value_is_parsed_as_the_flag_of_its_field():
    config = default.get_config()
    for field, text, expected in (
        ("model.layer_sizes", "64,32", (64, 32)),
        ("optimizer.learning_rate", "2e-3", 0.002),
        ("model.bidirectional", "true", True),
        ("data.dir", "a=b, c", "a=b, c"),
    ):
        assert command_line.parsed_value(config, field, text) == expected
    assert config == default.get_config()
    with pytest.raises(
        UserError, match=r"^config\.train\.epochs: got '2\.5', accepted is an integer"
    ):
        command_line.parsed_value(config, "train.epochs", "2.5")
