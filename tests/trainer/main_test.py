"""The command as users run it, in separate processes that are stopped, killed and resumed."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from storage.store import open_store
from tests.conftest import STORES
from tests.fakes.gcs_faults import Fault
from tests.trainer.modes.runs import lines, numbers, tensors

REPOSITORY = Path(__file__).parents[2]


def command(*flags: str, module: tuple[str, ...] = ("trainer",)) -> list[str]:
    return [sys.executable, "-m", *module, *map(str, flags)]


def run(*arguments, module=("trainer",), env=None) -> subprocess.CompletedProcess:
    return subprocess.run(
        command(*arguments, module=module),
        cwd=REPOSITORY, env=env, capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.fixture(params=[pytest.param("local", marks=pytest.mark.slow), "gs"])
def url(request, tmp_path, cloud):
    """Returns the URL of an unused workdir, once in a local folder and once in a bucket."""
    return STORES[request.param](tmp_path)


def test_run_killed_anywhere_resumes_to_the_same_result(flags, finished, url):
    # Each start is killed at a different place: before it writes anything; at step 21 of 82;
    # between the files of a checkpoint; right after a manifest; in the validation of an epoch.
    for place, number in (
        ("start", 1), ("step", 7), ("save", 2), ("manifest", 1), ("evaluation", 1)
    ):  # fmt: skip
        arguments = ("SIGKILL", place, number, *flags, f"--workdir={url}")
        killed = run(*arguments, module=("tests.killed",))
        assert killed.returncode == -signal.SIGKILL, killed.stderr
    done = run(*flags, f"--workdir={url}")
    assert done.returncode == 0, done.stderr
    assert "Resuming" in done.stdout
    assert numbers(url) == numbers(finished)
    assert tensors(url) == tensors(finished)


@pytest.mark.slow
def test_run_asked_to_leave_anywhere_saves_and_resumes_to_the_same_result(
    flags, finished, cloud, tmp_path
):
    url = STORES["gs"](tmp_path)
    # The start that is stopped in a save writes three files each at steps 40, 41 and 60. The signal
    # comes at the first file of step 60. The save of step 80 waits for that of step 60, so the
    # request is noticed before the evaluation at step 82.
    for signal_name, place, number, message in (
        ("SIGTERM", "start", 1, r"Stopped; run the same command again\."),
        ("SIGINT", "step", 7, r"Stopped at step 2\d; the same command resumes\."),
        ("SIGTERM", "save", 7, r"Stopped at step ([67]\d|80); the same command resumes\."),
        ("SIGTERM", "evaluation", 1, r"Stopped at step 82; the same command resumes\."),
        ("SIGINT", "evaluation", 2, r"Stopped at step 82; the same command resumes\."),
    ):
        arguments = (signal_name, place, number, *flags, f"--workdir={url}")
        stopped = run(*arguments, module=("tests.killed",))
        assert stopped.returncode == 75, stopped.stderr
        assert re.fullmatch(message, stopped.stderr.splitlines()[-1])
        assert "Traceback" not in stopped.stderr
    done = run(*flags, f"--workdir={url}")
    assert done.returncode == 0, done.stderr
    assert numbers(url) == numbers(finished)
    assert tensors(url) == tensors(finished)


@pytest.mark.slow
def test_run_resumes_on_another_number_of_replicas_with_the_same_losses(flags, finished, tmp_path):
    url = tmp_path / "run"
    replicas = "--config.strategy.virtual_devices=2"
    for layout, number in (((), 7), ((replicas,), 4)):
        arguments = ("SIGTERM", "step", number, *flags, *layout, f"--workdir={url}")
        stopped = run(*arguments, module=("tests.killed",))
        assert stopped.returncode == 75, stopped.stderr
        assert stopped.stdout.startswith(f"Devices: {1 + len(layout)} replica")
    done = run(*flags, f"--workdir={url}")
    assert done.returncode == 0, done.stderr
    for line, expected in zip(lines(url, "train"), lines(finished, "train"), strict=True):
        assert line["step"] == expected["step"]
        assert line["loss"] == pytest.approx(expected["loss"], rel=1e-4)


def test_process_that_lost_its_run_exits_with_code_1_and_names_the_newer_start(
    flags, finished, cloud, tmp_path
):
    """Pauses the older process before its first checkpoint is committed, until the newer ends."""
    url = STORES["gs"](tmp_path)
    pause = cloud.inject(Fault("pause", operation="insert", name=r"claim-1\.manifest"))
    older = subprocess.Popen(
        command(*flags, f"--workdir={url}"),
        cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert pause.reached.wait(60)
    newer = run(*flags, f"--workdir={url}")
    pause.release()
    _, errors = older.communicate()
    assert newer.returncode == 0, newer.stderr
    assert older.returncode == 1
    assert re.fullmatch(rf"error: --workdir: {url}: start 2 .* this one, start 1, .*\n", errors)
    assert numbers(url) == numbers(finished)
    assert tensors(url) == tensors(finished)


def test_run_whose_output_nobody_reads_ends_and_leaves_no_files_on_the_machine(
    flags, finished, cloud, tmp_path
):
    url, temporary = STORES["gs"](tmp_path), tmp_path / "tmp"
    temporary.mkdir()
    process = subprocess.Popen(
        command(*flags, f"--workdir={url}"),
        cwd=REPOSITORY, env={**os.environ, "TMPDIR": str(temporary)},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    process.stdout.close()  # as `head` does after its last line
    errors = process.stderr.read()
    assert process.wait() == 0, errors
    assert errors == "WARNING: standard output is lost (Broken pipe); going on without it\n"
    assert list(temporary.glob("longhaul-*/*")) == []
    assert numbers(url) == numbers(finished)
    names = {name.partition("/")[0] for name in open_store(url).list()}
    assert names == {
        "config.json", "vocabulary.txt", "labels.txt", "metrics.jsonl", "tensorboard",
        "checkpoints", "claims",
    }  # fmt: skip


def predict(finished, **streams):
    return subprocess.run(
        command("--mode=predict", f"--workdir={finished}"),
        cwd=REPOSITORY, text=True, check=False, **streams,
    )  # fmt: skip


def test_predict_reads_texts_from_standard_input(finished):
    done = predict(finished, input="a fine film\n\na dull film\n", capture_output=True)
    assert done.returncode == 0
    texts = [line.split("\t")[2] for line in done.stdout.splitlines()]
    assert texts == ["a fine film", "", "a dull film"]
    assert done.stderr.startswith("Checkpoint: step")


def test_predict_stops_quietly_when_nobody_reads_its_output(finished):
    reader, writer = os.pipe()
    os.close(reader)
    done = predict(finished, input="a\nb\n", stdout=writer, stderr=subprocess.PIPE)
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, "")


def test_predict_fails_when_its_output_can_not_be_written(finished):
    with Path("/dev/full").open("w") as full:
        done = predict(finished, input="a\nb\n", stdout=full, stderr=subprocess.PIPE)
    assert done.returncode == 1
    assert re.fullmatch(r"error: standard output .*No space left on device.*\n", done.stderr)


def test_user_error_prints_one_line_and_exits_with_code_1(flags, workdir):
    done = run(*flags, f"--workdir={workdir}", "--config.seed=5")
    assert done.returncode == 1
    assert done.stderr.startswith("error: config.seed: the run has 0, got 5")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.skipif(
    os.geteuid() != 0
    and subprocess.run(["unshare", "-rm", "true"], check=False, capture_output=True).returncode,
    reason="needs a mount namespace, and `unshare -rm` is not allowed on this machine",
)
@pytest.mark.slow
def test_full_disk_leaves_the_last_checkpoint_intact(flags, tmp_path):
    """Runs on a file system with room for one checkpoint but not for two."""
    script = """
        mount -t tmpfs -o size=170k tmpfs "$1" && cd "$2" && shift 2 || exit 99
        "$@"; echo "code $?"
        workdir=$(printf '%s\\n' "$@" | sed -n 's/--workdir=//p')
        exec "$PYTHON" -m trainer --mode=predict "--workdir=$workdir" --text='a fine film'
    """
    # Its files alone would fill the disk.
    without_profile = [flag for flag in flags if "profile_steps" not in flag]
    done = subprocess.run(
        ["unshare", "-rm", "sh", "-c", script, "sh", str(tmp_path), str(REPOSITORY),
         *command(*without_profile, f"--workdir={tmp_path / 'run'}")],
        env={**os.environ, "PYTHON": sys.executable}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "code 1" in done.stdout, done.stderr
    errors = done.stderr.splitlines()
    assert sum(line.startswith("error: ") for line in errors) == 1, errors
    assert "free" in errors[0]
    assert "Traceback" not in done.stderr
    assert errors[-1].startswith("Checkpoint: step ")
