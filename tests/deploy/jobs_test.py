"""From the command line to the services, which are servers on this machine."""

import functools
import re
import subprocess
import sys
from pathlib import Path

import pytest
from google.cloud.aiplatform_v1.types import JobState

from configs import imdb_gpu, imdb_tpu, sample
from deploy import jobs
from deploy.targets.tpu_vm import target as tpu_vm
from deploy.targets.vertex import target as vertex
from storage.errors import UserError
from storage.store import open_store
from tests.fakes.tpu_server import TpuServer
from tests.fakes.vertex_server import VertexServer

REPOSITORY = Path(__file__).parents[2]
DRY_RUNS = {
    "vertex": ("configs/imdb_gpu.py", "--region=us-central1"),
    "tpu_vm": ("configs/imdb_tpu.py", "--zone=us-west4-a"),
    "gke": ("configs/imdb_gpu.py",),
}


@pytest.fixture(autouse=True)
def environment(monkeypatch, cloud):
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "some-project")


@pytest.fixture
def vertex_server(monkeypatch):
    with VertexServer() as server:
        connected = functools.partial(vertex.connect, channel=server.channel)
        monkeypatch.setattr(vertex, "connect", connected)
        yield server


@pytest.fixture
def tpu_server(monkeypatch):
    with TpuServer() as server:
        connected = functools.partial(tpu_vm.connect, channel=server.channel())
        monkeypatch.setattr(tpu_vm, "connect", connected)
        yield server


def submit(*flags):
    """The command as a user gives it."""
    return subprocess.run(
        [sys.executable, "-m", "deploy.submit", *flags],
        cwd=REPOSITORY, capture_output=True, text=True, check=False,
    )  # fmt: skip


def vertex_plan(folder, name="", arguments=("--config=configs/imdb_gpu.py",)):
    options = jobs.make_options("vertex", {"region": "us-central1"})
    workdir, config = f"gs://bucket/{folder.name}/a", imdb_gpu.get_config()
    return jobs.prepare("vertex", options, name, list(arguments), config, workdir)


def tpu_plan(folder):
    options = jobs.make_options("tpu_vm", {"zone": "us-west4-a"})
    workdir, config = f"gs://bucket/{folder.name}/a", imdb_tpu.get_config()
    arguments = ["--config=configs/imdb_tpu.py"]
    return jobs.prepare("tpu_vm", options, "imdb", arguments, config, workdir)


@pytest.mark.parametrize("target", DRY_RUNS)
def test_dry_run_shows_everything_and_sends_nothing(target, tmp_path):
    config, *flags = DRY_RUNS[target]
    workdir = f"gs://bucket/{tmp_path.name}/a"
    done = submit("--dry_run", f"--target={target}", f"--config={config}", f"--workdir={workdir}",
                  *flags)  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert "python -m deploy.package gs://bucket/longhaul\n" in done.stdout
    for part in ("# The request", "# Settings", "# Uploaded before", "# What has to be there",
                 "# The same by hand", "# Afterwards", "--max_run_hours=24", f"--config={config}",
                 f"--workdir={workdir}"):  # fmt: skip
        assert part in done.stdout
    assert re.search(r"gs://bucket/longhaul/longhaul-[\d.]+-[0-9a-f]{16}\.tar\.gz", done.stdout)
    assert open_store(f"gs://bucket/{tmp_path.name}").list() == []


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


def test_archive_can_be_uploaded_by_hand(tmp_path):
    url = f"gs://bucket/{tmp_path.name}/longhaul"
    command = [sys.executable, "-m", "deploy.package", url]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert done.stdout == f"{url}/{vertex_plan(tmp_path).archive.name}\n"
    assert open_store(url).list() == [vertex_plan(tmp_path).archive.name]


def test_submission_imports_no_tensorflow():
    code = (
        "import sys, deploy.submit, deploy.vertex, deploy.tpu_vm, deploy.gke;"
        "sys.exit('tensorflow' in sys.modules or 'trainer' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, check=False).returncode == 0


MISTAKES = {
    "--config.train.epochs: got": ("--config.train.epochs=0",),
    "config.train.epoch: no such field": ("--config.train.epoch=1",),
    "--region: missing; --target=vertex needs it": (),
    "--zone: got 'us-west4-a', but --target=vertex has no such flag": ("--zone=us-west4-a",),
    "--machine: got": ("--region=us-central1", "--machine=a b"),
    "--name: got": ("--region=us-central1", "--name=A;b"),
    "--accelerators: got": ("--region=us-central1", "--accelerators=0"),
    "config.data.source: got 'files:reviews', which": (
        "--region=us-central1", "--config.data.source=files:reviews"),
    "config.data.dir: got '/home/me', which": (
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


@pytest.mark.parametrize("words", [("status",), ("status", "a", "b"), ("start", "a")])
def test_other_words_are_refused(words):
    done = submit(*words, "--target=vertex", "--region=us-central1")
    assert done.returncode == 1
    assert "accepted is status or wait or logs or cancel and the name" in done.stderr


@pytest.mark.parametrize("flag", ["--dry_run", "--wait", "--name=b", "--config=configs/imdb.py"])
def test_flags_for_submitting_are_refused_where_a_job_is_looked_after(flag):
    done = submit("cancel", "imdb", "--target=vertex", "--region=us-central1", flag)
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)
    assert "which are for submitting" in done.stderr


def test_missing_client_is_one_line(monkeypatch):
    monkeypatch.delitem(sys.modules, "deploy.vertex")
    monkeypatch.setitem(sys.modules, "google.cloud.aiplatform_v1", None)
    with pytest.raises(UserError, match=r"needs what is not installed \(.*aiplatform_v1"):
        jobs.make_options("vertex", {"region": "us-central1"})


def test_missing_part_of_googles_clients_is_one_line(monkeypatch):
    """Whose package is there, since others bring parts of it: the one that is missing is not."""
    monkeypatch.delitem(sys.modules, "deploy.tpu_vm")
    monkeypatch.delattr("google.cloud.tpu_v2")
    monkeypatch.setitem(sys.modules, "google.cloud.tpu_v2", None)
    with pytest.raises(UserError, match=r"--target: tpu_vm needs what is not installed"):
        jobs.make_options("tpu_vm", {"zone": "us-west4-a"})


def test_workdir_on_this_machine_is_refused(tmp_path):
    options = jobs.make_options("gke", {})
    with pytest.raises(UserError, match="--workdir: got"):
        jobs.prepare("gke", options, "", ["--config=c.py"], sample.get_config(), "runs/a")


def test_same_command_has_the_same_name_and_another_has_another(tmp_path):
    first, again = vertex_plan(tmp_path), vertex_plan(tmp_path)
    other = vertex_plan(tmp_path, arguments=("--config=configs/imdb_gpu.py", "--config.seed=1"))
    assert first.job.name == again.job.name != other.job.name
    assert first.job.name.startswith("imdb-gpu-")
    options = jobs.make_options("vertex", {"region": "us-central1", "accelerators": 4})
    arguments, config = ["--config=configs/imdb_gpu.py"], imdb_gpu.get_config()
    larger = jobs.prepare("vertex", options, "", arguments, config, first.job.workdir)
    assert larger.job.name != first.job.name


def test_config_from_elsewhere_travels_along(tmp_path):
    mine = tmp_path / "mine.py"
    mine.write_text((REPOSITORY / "configs" / "imdb_gpu.py").read_text())
    plan = vertex_plan(tmp_path, arguments=(f"--config={mine}",))
    assert plan.job.arguments[0] == "--config=configs/mine.py"
    assert plan.archive.digest != vertex_plan(tmp_path).archive.digest


def test_link_to_a_config_is_that_config(tmp_path):
    link = tmp_path / "link.py"
    link.symlink_to(REPOSITORY / "configs" / "imdb_gpu.py")
    plan = vertex_plan(tmp_path, arguments=(f"--config={link}",))
    assert plan.job.arguments[0] == "--config=configs/imdb_gpu.py"


def test_job_is_followed_to_its_end(vertex_server, tmp_path, capsys):
    plan = vertex_plan(tmp_path)
    assert jobs.submit(plan, wait=True, pause=lambda _: None) == 0
    output = capsys.readouterr()
    states = re.findall(r"JOB_STATE_(\w+)", output.out)
    assert states == ["QUEUED", "PENDING", "RUNNING", "SUCCEEDED"]
    assert f"deploy.submit cancel {plan.job.name} --target=vertex" in output.err
    assert open_store("gs://bucket/longhaul").exists(plan.archive.name)
    # What was uploaded and shown is what was sent.
    (sent,) = vertex_server.requests("CreateCustomJob")
    assert vertex.render(sent) == vertex.render(plan.request)


def test_same_name_twice_is_refused(vertex_server, tmp_path):
    jobs.submit(vertex_plan(tmp_path), wait=False)
    with pytest.raises(UserError, match=r"--name: .* exists already as .*customJobs/"):
        jobs.submit(vertex_plan(tmp_path), wait=False)


def test_failed_job_is_exit_code_one(vertex_server, tmp_path, capsys):
    plan = vertex_plan(tmp_path)
    jobs.submit(plan, wait=False)
    vertex_server.fail(
        next(iter(vertex_server.jobs)), "the replica workerpool0-0 exited with code 1"
    )
    given = ("vertex", plan.options, plan.job.name, None)
    assert [jobs.follow(verb, *given) for verb in ("status", "wait")] == [1, 1]
    assert "JOB_STATE_FAILED the replica workerpool0-0 exited" in capsys.readouterr().out


def test_job_can_be_cancelled(vertex_server, tmp_path, capsys):
    plan = vertex_plan(tmp_path)
    jobs.submit(plan, wait=False)
    given = ("vertex", plan.options, plan.job.name, None)
    assert jobs.follow("cancel", *given) == 0
    remote = vertex.connect(plan.options)
    assert jobs.watch(remote, plan.job.name, pause=lambda _: None) == 1
    assert JobState.JOB_STATE_CANCELLED.name in capsys.readouterr().out


def test_interrupt_leaves_the_job_running(vertex_server, tmp_path, capsys):
    def interrupted(_):
        raise KeyboardInterrupt

    plan = vertex_plan(tmp_path)
    jobs.submit(plan, wait=False)
    remote = vertex.connect(plan.options)
    assert jobs.watch(remote, plan.job.name, pause=interrupted) == 75
    assert f"{plan.job.name} goes on" in capsys.readouterr().err
    assert not vertex_server.requests("CancelCustomJob")


def test_suspended_machine_is_made_anew_while_it_is_waited_for(tpu_server, tmp_path, capsys):
    plan = tpu_plan(tmp_path)
    looks = iter(["PROVISIONING", "ACTIVE", "SUSPENDED", None, "ACTIVE", "FAILED"])

    def move(_):
        if state := next(looks):
            tpu_server.move("imdb", state)

    assert jobs.submit(plan, wait=True, pause=move) == 1
    output = capsys.readouterr().out
    assert re.findall(r"imdb: ([A-Z_]+)", output) == [
        *("WAITING_FOR_RESOURCES", "PROVISIONING", "ACTIVE", "SUSPENDED"),
        *("WAITING_FOR_RESOURCES", "ACTIVE", "FAILED"),
    ]
    assert "imdb: taken away, making it anew" in output
    assert tpu_server.methods().count("CreateQueuedResource") == 2


def test_waiting_alone_ends_when_the_machine_never_comes_back(tpu_server, tmp_path, capsys):
    plan = tpu_plan(tmp_path)
    jobs.submit(plan, wait=False)
    tpu_server.move("imdb", "SUSPENDED")
    assert jobs.follow("wait", "tpu_vm", plan.options, "imdb", plan.job.workdir) == 75
    assert "imdb never comes back; submit it again with --wait" in capsys.readouterr().err


def test_manifest_for_kubectl_is_all_that_is_on_standard_output(tmp_path, capsys):
    options = jobs.make_options("gke", {})
    workdir, config = f"gs://bucket/{tmp_path.name}/a", imdb_gpu.get_config()
    arguments = ["--config=configs/imdb_gpu.py"]
    plan = jobs.prepare("gke", options, "imdb", arguments, config, workdir)
    assert jobs.submit(plan, wait=False) == 0
    output = capsys.readouterr()
    assert output.out == plan.module.render(plan.request)
    assert "kubectl apply -f -" in output.err
    jobs.follow("status", "gke", options, "imdb", None)
    assert capsys.readouterr().out == "kubectl get jobset/imdb --namespace=default\n"


def test_log_of_a_job_is_shown(vertex_server, tmp_path, capsys, monkeypatch):
    connected = functools.partial(vertex.connect, logging=vertex_server.logging)
    monkeypatch.setattr(vertex, "connect", connected)
    plan = vertex_plan(tmp_path)
    jobs.submit(plan, wait=False)
    capsys.readouterr()
    vertex_server.entries.append({"textPayload": "Epoch: 1/3", "timestamp": "2026-01-01T00:00:00Z"})
    assert jobs.follow("logs", "vertex", plan.options, plan.job.name, None) == 0
    assert "Epoch: 1/3" in capsys.readouterr().out
