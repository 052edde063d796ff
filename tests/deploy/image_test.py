"""The image's commands, run with a docker and a gcloud that record how they are called."""

import json
import os
import re
import subprocess
import sys

import pytest

from deploy import image, prerequisites
from storage.errors import UserError
from tests.deploy.examples import REPOSITORY, refusal

NAME = "us-central1-docker.pkg.dev/some-project/longhaul/lstm:tf2.21"
DOCKERFILE = (REPOSITORY / "deploy/payload/Dockerfile").read_text(encoding="utf-8")
CHECK = (REPOSITORY / "deploy/payload/image_check.py").read_text(encoding="utf-8")
PROGRAM = """#!{python} -IS
import json, os, sys
command = [os.path.basename(sys.argv[0]), *sys.argv[1:]]
config = [word.partition("=")[2] for word in command if word.startswith("--config=")]
text = open(config[0]).read() if config else sys.stdin.read()
with open({log!r}, "a") as log:
    print(json.dumps([command, text]), file=log)
failing = os.environ.get("FAILING")
if failing in command:
    sys.exit(f"the reason for which {{failing}} failed")
"""


class Programs:
    """A docker and a gcloud that fail in the subcommand that $FAILING names."""

    def __init__(self, folder):
        self.folder, self._log = folder / "bin", folder / "calls.jsonl"
        self.folder.mkdir()

    def install(self, *names):
        for name in names:
            path = self.folder / name
            path.write_text(PROGRAM.format(python=sys.executable, log=str(self._log)))
            path.chmod(0o755)

    def take_calls(self):
        """Returns the (command, what it read) of all calls since the last time."""
        calls = [json.loads(line) for line in self._log.read_text().splitlines()]
        self._log.unlink()
        return calls

    def shell(self, text):
        """Runs commands in the checkout, in a shell that finds these programs first."""
        done = subprocess.run(
            ["/bin/bash", "-euc", text], cwd=REPOSITORY, capture_output=True, text=True,
            env={**os.environ, "PATH": f"{self.folder}:/usr/bin:/bin"}, check=False,
        )  # fmt: skip
        assert (done.returncode, done.stderr) == (0, "")

    @property
    def were_called(self):
        return self._log.exists()


@pytest.fixture
def programs(tmp_path, monkeypatch):
    """Has these two programs on PATH, and no others."""
    programs = Programs(tmp_path)
    programs.install("docker", "gcloud")
    monkeypatch.setenv("PATH", str(programs.folder))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    return programs


def test_docker_builds_then_checks_then_pushes(programs):
    assert image.make(NAME) == 0
    build, check, push = programs.take_calls()
    assert build == [
        ["docker", "build", "--platform=linux/amd64", f"--tag={NAME}", "-"],
        DOCKERFILE,
    ]
    wanted = "tensorflow[and-cuda]==2.21.0"
    run = ["docker", "run", "--rm", "--interactive", "--platform=linux/amd64", NAME]
    assert check == [[*run, "python", "-", wanted], CHECK]
    assert push == [["docker", "push", NAME], ""]


def test_image_for_tpus_has_other_versions_and_libtpu(programs):
    image.make(NAME, tpu=True)
    (build, _), (check, _), _ = programs.take_calls()
    assert "--build-arg=TENSORFLOW=tensorflow-tpu==2.20.0 libtpu==0.0.21" in build
    wanted = ["tensorflow-tpu==2.20.0", "libtpu==0.0.21", image.TPU_LIBRARY]
    assert check[-3:] == wanted


@pytest.mark.parametrize(
    ("failing", "made", "message"),
    [
        ("build", ["build"], f"{NAME}: not built, for the reason printed above; docker must be"),
        ("run", ["build", "run"], f"{NAME}: built but not pushed, for the reason printed above"),
        (
            "push",
            ["build", "run", "push"],
            f"{NAME}: built but not pushed, for the reason printed above; needed once: "
            "gcloud artifacts repositories create longhaul --project=some-project "
            "--location=us-central1 --repository-format=docker "
            "&& gcloud auth configure-docker us-central1-docker.pkg.dev",
        ),
    ],
)
def test_nothing_follows_a_step_that_failed(failing, made, message, programs, monkeypatch, capfd):
    monkeypatch.setenv("FAILING", failing)
    with pytest.raises(UserError, match=f"^{re.escape(message)}") as raised:
        image.make(NAME)
    assert str(raised.value).isprintable()
    assert [command[1] for command, _ in programs.take_calls()] == made
    assert f"the reason for which {failing} failed" in capfd.readouterr().err


def test_check_that_fails_on_another_processor_may_be_the_emulation(programs, monkeypatch):
    monkeypatch.setenv("FAILING", "run")
    monkeypatch.setattr(image.platform, "machine", lambda: "arm64")
    with pytest.raises(UserError, match=r"emulates an x86 processor.* --builder=cloud_build"):
        image.make(NAME)


@pytest.mark.parametrize("tpu", [False, True])
def test_cloud_build_gets_a_config_and_no_source(tpu, programs):
    assert image.make(NAME, tpu, "cloud_build") == 0
    [(command, config)] = programs.take_calls()
    assert command[:4] == ["gcloud", "builds", "submit", "--no-source"]
    assert command[5:] == ["--project=some-project", "--region=us-central1"]
    assert json.loads(config) == image.cloud_build_config(NAME, tpu)


@pytest.mark.parametrize("tpu", [False, True])
def test_cloud_build_does_what_docker_does(tpu, programs):
    image.make(NAME, tpu, "docker")
    *expected, push = programs.take_calls()
    config = image.cloud_build_config(NAME, tpu)
    for step in config["steps"]:
        assert step["entrypoint"] == "bash"
        option, script = step["args"]
        assert (option, len(script) < 10_000) == ("-c", True)  # Cloud Build's limit of an argument
        assert "$" not in script.replace("$$", "")
        programs.shell(script.replace("$$", "$"))  # as Cloud Build does
    assert programs.take_calls() == expected
    # Cloud Build pushes these when all steps have succeeded.
    assert config["images"] == push[0][2:]


def test_build_that_failed_says_what_cloud_build_needs(programs, monkeypatch):
    monkeypatch.setenv("FAILING", "builds")
    needs = "needed once: .*repositories create .*services enable cloudbuild.* needs roles/"
    with pytest.raises(UserError, match=needs):
        image.make(NAME, builder="cloud_build")


def test_registry_of_a_continent_is_built_for_anywhere():
    submit = image.commands("us-docker.pkg.dev/some-project/a/b:c", builder="cloud_build")[-1]
    assert submit.endswith("--project=some-project --region=global")


@pytest.mark.parametrize("builder", image.BUILDERS)
@pytest.mark.parametrize("tpu", [False, True])
def test_printed_commands_do_the_same_in_a_shell(tpu, builder, programs, capsys):
    image.make(NAME, tpu, builder)
    *expected, (last, last_read) = programs.take_calls()
    image.make(NAME, tpu, builder, dry_run=True)
    assert not programs.were_called
    programs.shell(capsys.readouterr().out)
    create, access, *others, (command, read) = programs.take_calls()
    assert [create[0][0], access[0][0]] == ["gcloud", "gcloud"]
    assert others == expected
    assert without_config(command) == without_config(last)
    assert read == last_read if builder == "docker" else json.loads(read) == json.loads(last_read)


def without_config(command):
    return [word for word in command if not word.startswith("--config=")]


def test_docker_is_the_default_and_gcloud_is_used_without_it(programs, capsys):
    image.make(NAME)
    assert capsys.readouterr().err == "--builder=docker, since docker is on PATH\n"
    programs.take_calls()
    (programs.folder / "docker").unlink()
    image.make(NAME)
    assert "--builder=cloud_build, since gcloud is on PATH" in capsys.readouterr().err
    assert programs.take_calls()[0][0][0] == "gcloud"


def test_missing_programs_are_named(programs):
    (programs.folder / "docker").unlink()
    text = refusal(image.make, NAME, builder="docker")
    assert text.startswith("--builder=docker: docker is not on PATH; install it, or give --builder")
    (programs.folder / "gcloud").unlink()
    assert refusal(image.make, NAME).startswith("--builder: neither docker nor gcloud is on PATH")


@pytest.mark.parametrize(
    "name",
    [
        "", "-", "--help", "a", "a:b", "pkg/image:1", "gcr.io/a", "gcr.io/a:", "gcr.io/A:b",
        "-x.io/a:b", "gcr.io/../a:b", "gcr.io//a:b", "gcr.io/a:b c", "gcr.io/a:b\n",
        "gcr.io/$(id):a", "gcr.io/a:`id`", "gcr.io/a:b;id", "gcr.io/a:$HOME", "gcr.io/ä:b",
        "gcr.io/a:b@sha256:12", "a" * 5_000, "gcr.io/a:" + "b" * 129, "https://gcr.io/a:b",
    ],
)  # fmt: skip
def test_name_that_is_not_full_is_refused(name, programs):
    assert refusal(image.make, name).startswith("--image: got ")
    assert not programs.were_called


def test_name_with_a_digest_is_not_built(programs):
    name = f"gcr.io/a/b:c@sha256:{'0' * 64}"
    assert "a digest names an image that exists" in refusal(image.make, name)
    (line,) = prerequisites.image(name)
    assert "docker" not in line


@pytest.mark.parametrize("name", ["localhost:5000/a:b", "gcr.io/a/b:c", "docker.io/library/a:1.2"])
def test_docker_pushes_to_any_registry_and_cloud_build_to_google_s(name, programs):
    assert image.make(name, builder="docker") == 0
    assert image.prepare_commands(name) == []
    text = refusal(image.make, name, builder="cloud_build")
    assert "accepted is LOCATION-docker.pkg.dev/PROJECT/REPOSITORY/PATH:TAG" in text


def test_unknown_builder_is_refused(programs):
    text = refusal(image.make, NAME, builder="podman")
    assert text == "--builder: got 'podman', accepted is docker or cloud_build"


def test_prerequisites_name_the_command_and_those_it_runs():
    repository, access, one_command = prerequisites.image(NAME, tpu=True)
    assert repository.startswith(
        "the repository in us-central1-docker.pkg.dev: gcloud artifacts repositories create "
    )
    assert (
        access == "docker's access to us-central1-docker.pkg.dev: gcloud auth configure-docker "
        "us-central1-docker.pkg.dev"
    )
    assert one_command.startswith(f"the image {NAME}: python -m deploy.submit image, ")
    assert one_command.endswith(" && ".join(image.commands(NAME, tpu=True)))


def test_command_ends_with_1_and_one_line_when_the_check_fails(programs):
    command = [sys.executable, "-m", "deploy.submit", "image", "--target=gke", f"--image={NAME}"]
    done = subprocess.run(
        command, cwd=REPOSITORY, env={**os.environ, "FAILING": "run"}, capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    assert [call[1] for call, _ in programs.take_calls()] == ["build", "run"]
    *_, reason, error = done.stderr.splitlines()
    assert (done.returncode, reason) == (1, "the reason for which run failed")
    assert error.startswith(f"error: {NAME}: built but not pushed, ")
