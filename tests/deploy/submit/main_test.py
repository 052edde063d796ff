"""The command line of `deploy.submit`, as a user gives it."""

import re
import subprocess
import sys

import pytest

from storage.store import open_store
from tests.deploy.examples import REPOSITORY

DRY_RUNS = {
    "vertex": ("configs/imdb_gpu.py", "--region=us-central1"),
    "tpu_vm": ("configs/imdb_tpu.py", "--zone=us-west4-a"),
    "gke": ("configs/imdb_gpu.py",),
}


pytestmark = pytest.mark.usefixtures("environment")


def submit(*flags):
    """Runs the command."""
    return subprocess.run(
        [sys.executable, "-m", "deploy.submit", *flags],
        cwd=REPOSITORY, capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.mark.parametrize("target", DRY_RUNS)
def test_dry_run_shows_everything_and_sends_nothing(target, tmp_path):
    config, *flags = DRY_RUNS[target]
    workdir = f"gs://bucket/{tmp_path.name}/a"
    done = submit("--dry_run", f"--target={target}", f"--config={config}", f"--workdir={workdir}",
                  *flags)  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert "python -m deploy.package gs://bucket/longhaul\n" in done.stdout
    for part in ("# Request", "# Settings", "# Upload", "# Prerequisites", "# Commands that submit",
                 "# Commands that follow", "--max_run_hours=24  (default)", f"--config={config}",
                 "# What it costs at most\n  24 hours of ", "(GOOGLE_CLOUD_PROJECT)",
                 f"--workdir={workdir}"):  # fmt: skip
        assert part in done.stdout
    assert re.search(r"gs://bucket/longhaul/longhaul-[\d.]+-[0-9a-f]{16}\.tar\.gz", done.stdout)
    assert open_store(f"gs://bucket/{tmp_path.name}").list() == []


def test_preparation_takes_no_accelerator_from_a_file(home):
    file = home / "config" / "longhaul" / "deploy.toml"
    file.parent.mkdir(parents=True)
    file.write_text('[vertex]\naccelerator = "NVIDIA_TESLA_A100"\naccelerators = 4\n')
    flags = ["--target=vertex", "--region=us-central1", "--workdir=gs://bucket/sets"]
    done = submit("--dry_run", "--mode=prepare", "--config=configs/imdb.py", *flags)
    assert (done.returncode, done.stderr) == (0, "")
    assert "--accelerator=''  (--mode=prepare)" in done.stdout
    assert "--accelerators=0  (--mode=prepare)" in done.stdout
    done = submit(
        "--dry_run", "--mode=prepare", "--config=configs/imdb.py", "--accelerators=2", *flags
    )
    assert done.stderr.startswith("error: --accelerators: got 2")


def test_dry_run_of_local_shows_the_processes(tmp_path):
    flags = ("--config=configs/sample.py", "--config.data.dir=a b", f"--workdir={tmp_path / 'run'}")
    done = submit("--dry_run", "--target=local", "--workers=2", *flags)
    assert done.returncode == 0
    assert done.stdout.count("python -m trainer --config=configs/sample.py") == 2
    assert "'--config.data.dir=a b'" in done.stdout
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("flags", "line"),
    [
        (["--workers=3"], "config.train.batch_size: got 64 on 3 replicas"),
        (
            ["--workers=2", "--config.strategy.name=mirrored"],
            "config.strategy.name: got 'mirrored'",
        ),
        (["--name=a"], "--name: got 'a'"),
    ],
)
def test_local_refuses_what_its_workers_would(flags, line, tmp_path):
    for dry_run in ([], ["--dry_run"]):
        given = ("--target=local", "--config=configs/sample.py", f"--workdir={tmp_path / 'run'}")
        done = submit(*given, *flags, *dry_run)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.startswith(f"error: {line}")
        assert len(done.stderr.splitlines()) == 1


def test_submission_imports_no_tensorflow():
    code = (
        "import sys, deploy.submit.main; from deploy.targets import target;"
        "[target.load(name) for name in target.NAMES];"
        "sys.exit('tensorflow' in sys.modules or 'trainer' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, check=False).returncode == 0


MISTAKES = {
    "--config.train.epochs: got": ("--region=us-central1", "--config.train.epochs=0"),
    "config.train.epoch: no such field": ("--config.train.epoch=1",),
    "--region: missing; --target=vertex needs it": (),
    "--region: got 'us-central1,us-east1'; add --wait": ("--region=us-central1,us-east1",),
    "--region: got 'us-east1,us-east1', accepted is each": ("--wait", "--region=us-east1,us-east1"),
    "--accelerator: got 'NVIDIA_L4', but --mode=prepare": (
        "--region=us-east1", "--mode=prepare", "--accelerator=NVIDIA_L4"),
    "--resubmits: got 3; accepted with --wait only": ("--region=us-central1", "--resubmits=3"),
    "--try_minutes: got -1, accepted": ("--region=us-central1", "--wait", "--try_minutes=-1"),
    "--zone: got 'us-west4-a', but --target=vertex has no such flag": ("--zone=us-west4-a",),
    "--machine: got": ("--region=us-central1", "--machine=a b"),
    "--name: got": ("--region=us-central1", "--name=A;b"),
    "--accelerators: got": ("--region=us-central1", "--accelerators=0"),
    "config.data.source: got 'files:reviews', which": (
        "--region=us-central1", "--config.data.source=files:reviews"),
    "config.data.dir: got '/home/me', a folder that the job's": (
        "--region=us-central1", "--config.data.dir=/home/me"),
    "config.strategy.virtual_devices: got 2": (
        "--region=us-central1", "--config.strategy.virtual_devices=2"),
    "--config: got more than one": ("--region=us-central1", "--config=configs/imdb.py"),
}  # fmt: skip


@pytest.mark.parametrize("message", MISTAKES)
def test_mistake_is_one_line(message, tmp_path):
    flags = ("--target=vertex", "--config=configs/imdb_gpu.py", "--workdir=gs://bucket/runs/a")
    done = submit("--dry_run", *flags, *MISTAKES[message])
    assert (done.returncode, done.stdout) == (1, "")
    assert len(done.stderr.splitlines()) == 1
    assert message.removeprefix("--config.") in done.stderr


@pytest.mark.parametrize(
    "words", [("wait",), ("status", "a", "b"), ("start", "a"), ("list", "a"), ("submit",)]
)
def test_other_arguments_are_refused(words):
    done = submit(*words, "--target=vertex", "--region=us-central1")
    assert done.returncode == 1
    assert "accepted is status or wait or logs or cancel or delete with the name" in done.stderr


@pytest.mark.parametrize("flag", ["--dry_run", "--wait", "--name=b", "--config=configs/imdb.py"])
def test_flags_for_submitting_are_refused_when_a_job_is_followed(flag):
    done = submit("cancel", "imdb", "--target=vertex", "--region=us-central1", flag)
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)
    name = flag.partition("=")[0]
    assert done.stderr.startswith(f"error: {name}: `cancel` doesn't take it; accepted are --target")


def test_everything_that_is_missing_is_named_at_once():
    done = submit("--target=tpu_vm", "--dry-run")
    assert done.returncode == 1
    assert done.stderr.startswith("error: --config, --workdir, --zone: missing; --target=tpu_vm")
    assert len(done.stderr.splitlines()) == 1


def test_status_without_a_name_lists_jobs():
    for words in (["status"], ["list"]):
        done = submit(*words)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.startswith("error: list: no place is known")


def test_flags_and_the_bucket_come_from_the_users_file(home, tmp_path):
    file = home / "config" / "longhaul" / "deploy.toml"
    file.parent.mkdir(parents=True)
    file.write_text('bucket = "bucket"\n[vertex]\nregion = "us-west1"\n')
    done = submit(
        "--dry-run", "--target=vertex", "--config=configs/imdb_gpu.py", "--workdir=runs/a"
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert f"--region='us-west1'  ({file})" in done.stdout
    assert "--workdir=gs://bucket/runs/a" in done.stdout
    file.write_text('[vertex]\nregion = "Mars"\n')
    done = submit(
        "--dry-run", "--target=vertex", "--config=configs/imdb_gpu.py", "--workdir=runs/a"
    )
    assert done.stderr.startswith("error: --region: got 'Mars'")
    assert done.stderr.endswith(f"(this value is from {file})\n")


def test_dry_run_of_alternatives_shows_their_order(tmp_path):
    done = submit(
        "--dry-run", "--wait", "--target=tpu_vm", "--config=configs/imdb_tpu.py",
        "--workdir=gs://bucket/runs/a", "--provisioning=spot,on_demand",
        "--zone=us-west4-a,us-east5-b",
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    _, _, order = done.stdout.partition("# Tried in this order, while there are no machines\n")
    assert [line.strip() for line in order.splitlines()[:4]] == [
        "provisioning=spot, zone=us-west4-a", "provisioning=spot, zone=us-east5-b",
        "provisioning=on_demand, zone=us-west4-a", "provisioning=on_demand, zone=us-east5-b",
    ]  # fmt: skip


def test_prerequisites_of_alternatives_are_named_once():
    done = submit(
        "--dry-run", "--wait", "--target=vertex", "--config=configs/imdb_gpu.py",
        "--workdir=gs://bucket/runs/a", "--region=us-central1,us-east1",
    )  # fmt: skip
    assert done.stdout.count("  the bucket: gcloud storage buckets create") == 1
    assert done.stdout.count("  the repository in us-") == 2


def test_image_is_for_targets_that_run_images():
    done = submit("image", "--target=tpu_vm", "--zone=us-west4-a")
    assert done.returncode == 1
    assert done.stderr == "error: --target: got 'tpu_vm', accepted are vertex and gke\n"
