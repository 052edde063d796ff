"""The container image of a job: builds it, checks it and pushes it.

    exit_code = make("us-central1-docker.pkg.dev/PROJECT/longhaul/longhaul:tf2.21")
    make(name, tpu=True, builder="cloud_build", dry_run=True)       # prints shell commands

The image has a job's dependencies and no code: see deploy/payload/Dockerfile. No file of the tree
is sent. An image that fails its check, deploy/payload/image_check.py, is not pushed. Written from
the documentation of Docker and Cloud Build, and not run with either.
"""

import json
import os
import platform
import re
import shlex
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

from deploy.checks import IMAGE, IMAGE_HELP, PROJECT, REGION, check_matches, refusal
from deploy.messages import say
from storage.errors import UserError
from storage.exit_codes import DONE

BUILDERS = {"docker": "docker", "cloud_build": "gcloud"}  # builder -> its program
# Arguments of the Dockerfile for TPUs, in the versions of deploy/payload/tpu_requirements.txt.
TPU_BUILD = {"TENSORFLOW": "tensorflow-tpu==2.20.0 libtpu==0.0.21", "TENSORBOARD": "2.20.0"}
# Where pip puts the TPU's library in the Dockerfile's base image.
TPU_LIBRARY = "/usr/local/lib/python3.11/site-packages/libtpu/libtpu.so"

_ROOT = Path(__file__).resolve().parents[1]
_DOCKERFILE = "deploy/payload/Dockerfile"
_CHECK = "deploy/payload/image_check.py"
_PLATFORM = "--platform=linux/amd64"  # of Google's machines; a Mac's own is often another
_X86 = ("x86_64", "AMD64")
_REGISTRY = "-docker.pkg.dev"  # how the host of an Artifact Registry ends
_CLOUD_DOCKER = "gcr.io/cloud-builders/docker"
# CUDA's libraries are several GB, which two cores take long to unpack, compress and push; Cloud
# Build's own limit is an hour. Its default machine, which has these two cores, needs no quota, and
# the default disk of 100 GB holds the image many times.
_CLOUD_SECONDS = 2 * 3600
_ROLE = "the build's service account needs roles/cloudbuild.builds.builder"


class _Step(NamedTuple):
    """A command whose standard input is a file of the tree, or empty when `reads` is ""."""

    command: list[str]
    reads: str = ""


class Registry(NamedTuple):
    """A repository in Google's Artifact Registry."""

    location: str  # a region, or a continent
    project: str
    repository: str


def make(name: str, tpu: bool = False, builder: str = "", dry_run: bool = False) -> int:
    """Builds, checks and pushes an image; with `dry_run` only prints how. Returns exit code 0.

    `builder` is one of BUILDERS; by default the first one whose program is on PATH. Raises
    UserError when a name or a builder is not accepted, or when a command has failed.
    """
    check_matches("image", name, IMAGE, IMAGE_HELP)
    if "@" in name:
        raise refusal("image", name, "HOST/PATH:TAG, since a digest names an image that exists")
    builder = builder or _default_builder()
    _check_builder(builder)
    if dry_run:
        role = f" ({_ROLE})" if builder == "cloud_build" else ""
        print(f"# Once{role}:", *prepare_commands(name, builder), sep="\n")
        print("# In the checkout:", *commands(name, tpu, builder), sep="\n")
    elif builder == "docker":
        _make_with_docker(name, tpu)
    else:
        _make_with_cloud_build(name, tpu)
    return DONE


def commands(name: str, tpu: bool = False, builder: str = "docker") -> list[str]:
    """Returns the shell commands, for the checkout's folder, that `make` runs.

    Raises UserError when Cloud Build can't push to the image's registry.
    """
    if builder == "docker":
        steps = (_build(name, tpu), _check(name, tpu), _push(name))
        return [shlex.join(command) + (reads and f" < {reads}") for command, reads in steps]
    path = '"${TMPDIR:-/tmp}/longhaul-image.json"'
    config = json.dumps(cloud_build_config(name, tpu), indent=2)
    submit = shlex.join(_cloud_build(name, "FILE")).replace("=FILE", f"={path}")
    return [f"cat > {path} <<'END'\n{config}\nEND", submit]


def prepare_commands(name: str, builder: str = "docker") -> list[str]:
    """Returns the commands, needed once, that create the repository and give access to it.

    There are none for a registry other than Artifact Registry.
    """
    registry = artifact_registry(name)
    if registry is None:
        return []
    location, project, repository = registry
    create = ["gcloud", "artifacts", "repositories", "create", repository, f"--project={project}"]
    create += [f"--location={location}", "--repository-format=docker"]
    access = ["gcloud", "auth", "configure-docker", f"{location}{_REGISTRY}"]
    if builder == "cloud_build":
        access = ["gcloud", "services", "enable", "cloudbuild.googleapis.com"]
        access += [f"--project={project}"]
    return [shlex.join(create), shlex.join(access)]


def cloud_build_config(name: str, tpu: bool = False) -> dict[str, Any]:
    """Returns a build of Cloud Build, which pushes `images` after the last step has succeeded."""
    steps = [
        {"name": _CLOUD_DOCKER, "entrypoint": "bash", "args": ["-c", _self_contained(step)]}
        for step in (_build(name, tpu), _check(name, tpu))
    ]
    return {"steps": steps, "images": [name], "timeout": f"{_CLOUD_SECONDS}s"}


def _default_builder() -> str:
    """Returns the first builder whose program is on PATH, and says so."""
    for builder, program in BUILDERS.items():
        if shutil.which(program):
            say(f"--builder={builder}, since {program} is on PATH")
            return builder
    raise UserError(
        "--builder: neither docker nor gcloud is on PATH; install docker for --builder=docker or "
        "Google's gcloud for --builder=cloud_build"
    )


def _check_builder(builder: str) -> None:
    if builder not in BUILDERS:
        raise refusal("builder", builder, " or ".join(BUILDERS))
    if not shutil.which(BUILDERS[builder]):
        raise UserError(
            f"--builder={builder}: {BUILDERS[builder]} is not on PATH; install it, or give "
            f"--builder={next(other for other in BUILDERS if other != builder)}"
        )


def _build(name: str, tpu: bool) -> _Step:
    arguments = [f"--build-arg={key}={value}" for key, value in TPU_BUILD.items() if tpu]
    command = ["docker", "build", _PLATFORM, f"--tag={name}", *arguments, "-"]
    return _Step(command, _DOCKERFILE)


def _check(name: str, tpu: bool) -> _Step:
    if tpu:
        wanted = [*TPU_BUILD["TENSORFLOW"].split(), TPU_LIBRARY]
    else:
        wanted = re.findall(r"(?m)^ARG TENSORFLOW=(.*)$", _text(_DOCKERFILE))
    run = ["docker", "run", "--rm", "--interactive", _PLATFORM, name]
    return _Step([*run, "python", "-", *wanted], _CHECK)


def _push(name: str) -> _Step:
    return _Step(["docker", "push", name])


def _make_with_docker(name: str, tpu: bool) -> None:
    above = "for the reason printed above"
    started = "docker must be installed and running; --builder=cloud_build needs none"
    _run(_build(name, tpu), f"{name}: not built, {above}; {started}")
    _run(_check(name, tpu), f"{name}: built but not pushed, {above}{_emulation()}")
    _run(_push(name), f"{name}: built but not pushed, {above}{_once(name, 'docker')}")


def _make_with_cloud_build(name: str, tpu: bool) -> None:
    # gcloud reads the file by its name.
    with tempfile.NamedTemporaryFile("w", suffix=".json", encoding="utf-8") as file:
        json.dump(cloud_build_config(name, tpu), file)
        file.flush()
        failure = f"{name}: not pushed, for the reason printed above{_once(name, 'cloud_build')}"
        _run(_Step(_cloud_build(name, file.name)), f"{failure}; {_ROLE}")


def _cloud_build(name: str, config: str) -> list[str]:
    registry = artifact_registry(name)
    if registry is None:
        accepted = f"LOCATION{_REGISTRY}/PROJECT/REPOSITORY/PATH:TAG with --builder=cloud_build"
        raise refusal("image", name, accepted)
    # A registry of several regions is named after a continent, where no build runs.
    region = registry.location if re.fullmatch(REGION, registry.location) else "global"
    submit = ["gcloud", "builds", "submit", "--no-source", f"--config={config}"]
    return [*submit, f"--project={registry.project}", f"--region={region}"]


def _self_contained(step: _Step) -> str:
    """Returns a step as shell text that includes the file it reads."""
    script = f"{shlex.join(step.command)} <<'END'\n{_text(step.reads)}END\n"
    return script.replace("$", "$$")  # Cloud Build fills in $NAME, and reads $$ as a plain $


def artifact_registry(name: str) -> Registry | None:
    """Returns the repository that holds an image; None when it is in another registry."""
    host, *path = name.split("/")
    if not host.endswith(_REGISTRY) or len(path) < 3 or not re.fullmatch(PROJECT, path[0]):
        return None
    return Registry(host.removesuffix(_REGISTRY), path[0], path[1])


def _run(step: _Step, failure: str) -> None:
    """Runs a step, whose output is the user's. Raises UserError(failure) when it fails."""
    with Path(_ROOT, step.reads or os.devnull).open("rb") as stdin:
        if subprocess.run(step.command, stdin=stdin, check=False).returncode:  # noqa: S603
            raise UserError(failure)


def _once(name: str, builder: str) -> str:
    needed = prepare_commands(name, builder)
    return f"; needed once: {' && '.join(needed)}" if needed else ""


def _emulation() -> str:
    if platform.machine() in _X86:
        return ""
    return (
        "; docker emulates an x86 processor here, perhaps without the instructions that "
        "TensorFlow needs: --builder=cloud_build has a real one"
    )


def _text(path: str) -> str:
    return (_ROOT / path).read_text(encoding="utf-8")
