"""A worker's whole command, in a virtual environment that has the dependencies only."""

import io
import os
import re
import signal
import subprocess
import sys
import sysconfig
import tarfile
from pathlib import Path

import pytest

from configs import sample
from deploy import package
from deploy.job import Job
from deploy.payload import bootstrap
from tests.deploy.examples import REPOSITORY
from tests.fakes.gcs_faults import Fault

# A network that trains quickly, for more epochs than the test waits for.
CONFIG = """
from configs import default


def get_config():
    config = default.get_config()
    config.data.cache_dir = ""
    config.data.vocabulary_size = 200
    config.data.max_tokens = 32
    config.model.embedding_size = 8
    config.model.layer_sizes = (8,)
    config.train.batch_size = 64
    config.train.epochs = 10_000
    return config
"""


@pytest.fixture(scope="module")
def python(tmp_path_factory) -> Path:
    """Returns Python in a fresh virtual environment with the dependencies, but not this tree."""
    folder = tmp_path_factory.mktemp("fresh")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    (site,) = folder.glob("lib/python*/site-packages")
    # The .pth files in these folders are not read, so an editable installation has no effect.
    folders = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    (site / "dependencies.pth").write_text("\n".join(folders))
    return folder / "bin" / "python3"


@pytest.fixture(scope="module")
def archive(tmp_path_factory) -> package.Archive:
    config = tmp_path_factory.mktemp("config") / "tiny.py"
    config.write_text(CONFIG)
    return package.build(REPOSITORY, config)


@pytest.fixture
def job(archive, tmp_path, cloud, reviews) -> Job:
    workdir = f"gs://bucket/{re.sub(r'[^a-z0-9]', '', tmp_path.name)}/run"
    url = package.upload(archive, "gs://bucket/packages")
    data = f"--config.data.source=files:{reviews}"
    arguments = ("--config=configs/tiny.py", data, f"--workdir={workdir}")
    return Job("tiny", arguments, workdir, url, archive.digest, sample.get_config())


@pytest.fixture
def start(python, tmp_path):
    """Yields a function that starts a worker's command in an empty folder."""
    (tmp_path / "tmp").mkdir()
    (tmp_path / "empty").mkdir()
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment["PATH"] = f"{python.parent}{os.pathsep}{environment['PATH']}"
    environment["TMPDIR"] = str(tmp_path / "tmp")
    started = []

    def start(command) -> subprocess.Popen:
        process = subprocess.Popen(
            list(command), cwd=tmp_path / "empty", env=environment, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def installed(tmp_path) -> list[Path]:
    """Returns the folders that the workers have installed to, one each."""
    return sorted((tmp_path / "tmp").glob("longhaul-*/installed"))


def ended(process) -> tuple[int, str]:
    """Returns the exit code and standard error of a process."""
    _, error = process.communicate()
    return process.returncode, error


def test_archive_trains_on_a_machine_without_longhaul(start, job, python, tmp_path):
    code, error = ended(start([str(python), "-c", "import trainer"]))
    assert code and "No module named 'trainer'" in error

    process = start(job.command)
    for line in process.stdout:
        if epoch := re.match(r"Epoch: 1/\d+ Batch: (\d+)/", line):
            break
    process.send_signal(signal.SIGTERM)
    code, error = ended(process)
    assert code == 75, error
    assert "the same command resumes" in error

    (folder,) = installed(tmp_path)
    packages = {file.parent.name for file in folder.glob("*/__init__.py")}
    assert packages == {"configs", "deploy", "input_pipeline", "storage", "trainer"}
    payload = REPOSITORY / "deploy" / "payload"
    for name in ("Dockerfile", "bootstrap.py", "tpu_startup.sh", "tpu_requirements.txt"):
        copy = folder / "deploy" / "payload" / name
        assert copy.read_bytes() == (payload / name).read_bytes()

    step = int(re.search(r"step (\d+)", error)[1])
    epochs = step // int(epoch[1]) + 1
    process = start([*job.command, f"--config.train.epochs={epochs}"])
    output, error = process.communicate()
    assert process.returncode == 0, error
    assert f"Resuming {job.workdir} at step {step}" in output
    assert "Test Accuracy:" in output


def test_wrong_digest_is_one_line_and_nothing_is_installed(start, job, tmp_path):
    command = list(job.command)
    command[command.index(job.digest)] = "0" * 64
    code, error = ended(start(command))
    assert code == 1
    assert re.fullmatch(f"error: {job.archive_url}: .*{job.digest}, wanted is 0{{64}}\n", error)
    assert not installed(tmp_path)


def test_unreadable_archive_is_one_line(start, job, cloud, tmp_path):
    name = f"{tmp_path.name}.tar.gz"
    cloud.put("bucket", name, b"no archive")
    code, error = ended(start(["python3", *job.command[1:3], f"gs://bucket/{name}", job.digest]))
    assert code == 1
    assert re.fullmatch("error: .*not a readable archive.*\n", error)


@pytest.mark.parametrize(
    ("kind", "code", "reason"),
    [
        ("404", 1, "not found; submit the job again"),
        ("403", 1, "let the job's service account read the bucket"),
        ("corrupt", 75, "download failed"),
    ],
)
def test_failed_download_is_one_line(start, job, cloud, kind, code, reason):
    fault = cloud.inject(Fault(kind, "download", name=r"\.tar\.gz$", times=float("inf")))
    try:
        found, error = ended(start(job.command))
    finally:
        cloud.clear()
    assert fault.hits
    assert found == code, error
    assert re.fullmatch(f"error: {job.archive_url}: .*{re.escape(reason)}.*\n", error)


def test_stopped_before_the_trainer_starts_it_asks_to_be_run_again(start, job, cloud):
    fault = cloud.inject(Fault("pause", "download", name=r"\.tar\.gz$"))
    process = start(job.command)
    try:
        assert fault.reached.wait(60)
        process.send_signal(signal.SIGTERM)
        assert ended(process) == (75, "")
    finally:
        cloud.clear()


def tar(path: Path, *members: tuple[str, bytes], kind: bytes = tarfile.REGTYPE, time=0) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size, info.type, info.mtime = len(data), kind, time
            info.linkname = "/etc/passwd" if kind == tarfile.SYMTYPE else ""
            archive.addfile(info, io.BytesIO(data))
    return path


def test_digest_depends_on_paths_and_contents_and_not_on_their_order_or_time(tmp_path):
    one, two = ("a/1", b"one"), ("a/2", b"two")
    digest = bootstrap.content_digest(tar(tmp_path / "first", one, two))
    assert bootstrap.content_digest(tar(tmp_path / "later", two, one, time=9)) == digest
    for others in ((one,), (one, ("a/3", b"two")), (one, ("a/2", b"three"))):
        assert bootstrap.content_digest(tar(tmp_path / "other", *others)) != digest


def test_digest_of_an_archive_with_a_link_is_refused(tmp_path):
    path = tar(tmp_path / "link", ("a/link", b""), kind=tarfile.SYMTYPE)
    with pytest.raises(SystemExit, match="'a/link' is not a regular file"):
        bootstrap.content_digest(path)
