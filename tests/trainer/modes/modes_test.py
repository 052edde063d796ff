"""The table of modes: the flags that each mode takes, and what it imports."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[3]

# A program that adds a mode to the table and then runs the command line.
PROGRAM_WITH_EXTRA_MODE = """
from trainer import main
main.MODES["extra"] = main.Mode(
    "tests.trainer.modes.mode_that_shows_imports", ("config",), tensorflow={tensorflow},
    averages=True,
)
main.flags.FLAGS["mode"].parser.enum_values.append("extra")
main.run()
"""


def run(*flags, program=("-m", "trainer")):
    return subprocess.run(
        [sys.executable, *program, *flags], cwd=REPOSITORY, capture_output=True, text=True,
        check=False,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("flags", "error"),
    [
        (
            ("--mode=evaluate", "--text=A fine film."),
            "--text: got ['A fine film.'], but --mode=evaluate doesn't take it; accepted are "
            "--workdir, --config and --checkpoint; --text is a flag of --mode=predict|explain",
        ),
        (
            ("--checkpoint=last", "--config=configs/sample.py"),
            "--checkpoint: got 'last', but --mode=train_and_evaluate doesn't take it; accepted are "
            "--workdir and --config; --checkpoint is a flag of "
            "--mode=evaluate|predict|export|explain|serve",
        ),
        (
            ("--mode=prepare", "--checkpoint=best", "--config=configs/sample.py"),
            "--checkpoint: got 'best', but --mode=prepare doesn't take it; accepted are --workdir "
            "and --config; --checkpoint is a flag of --mode=evaluate|predict|export|explain|serve",
        ),
    ],
)
def test_flag_of_another_mode_is_refused_and_its_modes_are_named(flags, error, tmp_path):
    done = run(*flags, f"--workdir={tmp_path / 'run'}")
    assert (done.returncode, done.stderr) == (1, f"error: {error}\n")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("mode", ["train_and_evaluate", "prepare"])
def test_mode_that_needs_a_config_reports_that_it_is_missing(mode, tmp_path):
    done = run(f"--mode={mode}", f"--workdir={tmp_path}")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "error: --config: missing; give a config such as configs/sample.py\n"


def test_unknown_mode_is_refused_and_the_modes_are_named():
    done = run("--mode=practise", "--workdir=runs/x")
    assert done.returncode == 1
    for mode in ("train_and_evaluate", "evaluate", "predict", "prepare"):
        assert mode in done.stderr


@pytest.mark.parametrize("mode", ["evaluate", "predict"])
def test_workdir_without_a_run_is_refused_before_tensorflow_is_imported(mode, tmp_path):
    program = "import sys; sys.modules['tensorflow'] = None; from trainer.main import run; run()"
    done = run(f"--mode={mode}", f"--workdir={tmp_path}", program=("-c", program))
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: --workdir: {tmp_path} holds no run")


@pytest.mark.parametrize(("tensorflow", "imported"), [(False, []), (True, ["tensorflow", "keras"])])
def test_mode_imports_what_it_needs(tensorflow, imported, tmp_path):
    """Neither modules of other modes nor, with TensorFlow, packages that Keras can do without."""
    done = run(
        "--mode=extra",
        "--config=configs/sample.py",
        f"--workdir={tmp_path}",
        program=("-c", PROGRAM_WITH_EXTRA_MODE.format(tensorflow=tensorflow)),
    )
    assert (done.returncode, done.stdout) == (0, f"{tmp_path}: {imported}\n"), done.stderr


def test_several_workdirs_have_commas_between_and_a_comma_in_a_name_is_quoted(tmp_path):
    done = run(
        "--mode=extra",
        "--config=configs/sample.py",
        rf"--workdir={tmp_path}/a\,b,{tmp_path}/c",
        program=("-c", PROGRAM_WITH_EXTRA_MODE.format(tensorflow=False)),
    )
    assert (done.returncode, done.stdout) == (0, f"{tmp_path}/a,b, {tmp_path}/c: []\n"), done.stderr


@pytest.mark.parametrize(
    ("flags", "error"),
    [
        (
            ("--config=configs/sample.py", "--workdir={folder}/a,{folder}/b,{folder}/c"),
            "--workdir: got 3 with commas between, but --mode=train_and_evaluate takes one; "
            r"several are for --mode=evaluate|predict; write a comma in a name as \,",
        ),
        (
            ("--mode=serve", "--workdir={folder}/a,{folder}/b"),
            "--workdir: got 2 with commas between, but --mode=serve takes one; several are for "
            r"--mode=evaluate|predict; write a comma in a name as \,",
        ),
        (
            ("--mode=predict", "--workdir={folder}/a,"),
            "--workdir: got '{folder}/a,', which has an empty part; give a folder or URL on both "
            "sides of a comma",
        ),
        (
            ("--mode=evaluate", "--workdir={finished},{folder}/a"),
            "--workdir: {folder}/a holds no run (config.json is missing); give the workdir "
            "of a run, or the training command, which begins one or brings the file back",
        ),
    ],
)
def test_workdirs_that_do_not_fit_are_refused(flags, error, finished, tmp_path):
    places = {"folder": tmp_path, "finished": finished}
    done = run(*(flag.format(**places) for flag in flags))
    assert (done.returncode, done.stderr) == (1, f"error: {error.format(**places)}\n")
    assert not list(tmp_path.iterdir())


def test_mode_without_its_dashes_is_guessed():
    done = run("predict", "--workdir=runs/x")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "error: 'predict': not a flag; did you mean --mode=predict?\n"


def test_export_in_place_of_a_run_is_named_as_one(tmp_path):
    (tmp_path / "saved_model.pb").touch()
    done = run("--mode=explain", "--text=a", f"--workdir={tmp_path}")
    assert done.returncode == 1
    assert done.stderr == (
        f"error: --workdir: {tmp_path} is an export, which only --mode=serve takes; give the "
        "workdir of the run\n"
    )


def test_runs_to_compare_may_be_given_several_times(finished, tmp_path):
    others = [shutil.copytree(finished, tmp_path / name) for name in ("a", "b", "c")]
    first, second, third = map(str, others)
    done = run("--mode=report", f"--workdir={finished}", f"--compare={first},{second}",
               f"--compare={third}", f"--to={tmp_path}")  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert "Comparison of 4 runs" in (tmp_path / "comparison.html").read_text()
