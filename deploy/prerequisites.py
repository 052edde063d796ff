"""What jobs of any target need before they start, in lines with the commands that make it.

[bucket(job, project, "us-central1"), *image("us-docker.pkg.dev/P/R/I:T"), *reviews(job)]
"""

import shlex
from collections.abc import Mapping

from deploy.job import Job

_REGISTRY = "-docker.pkg.dev"


def bucket(job: Job, project: str, location: str) -> str:
    """The workdir's bucket."""
    create = ["gcloud", "storage", "buckets", "create", job.bucket, f"--project={project}"]
    return f"the bucket: {shlex.join([*create, f'--location={location}'])}"


def image(name: str, arguments: Mapping[str, str] | None = None) -> list[str]:
    """A container image of deploy/Dockerfile, and the repository that it lies in.

    `arguments` are those of the Dockerfile that are to be others than there.
    """
    registry, *path = name.split("/")[:3]
    lines = []
    if registry.endswith(_REGISTRY) and len(path) == 2:
        create = ["gcloud", "artifacts", "repositories", "create", path[1], f"--project={path[0]}"]
        create.append(f"--location={registry.removesuffix(_REGISTRY)}")
        lines.append(f"the repository: {shlex.join([*create, '--repository-format=docker'])}")
    build = ["docker", "build", f"--tag={name}"]
    build += [f"--build-arg={key}={value}" for key, value in (arguments or {}).items()]
    push = shlex.join(["docker", "push", name])
    return [*lines, f"the image: {shlex.join([*build, '-'])} < deploy/Dockerfile && {push}"]


def reviews(job: Job) -> list[str]:
    """The reviews of a job that doesn't bring its own."""
    source = job.config.data.source
    kind, _, place = source.partition(":")
    if kind == "shards":
        return [f"the reviews in shards: {_prepare(job, place)}"]
    if kind == "tfds":
        place = f"{job.bucket}/PATH"
        return [
            f"a way to the internet, for {source}; or its reviews in shards, and "
            f"--config.data.source=shards:{place}: {_prepare(job, place)}"
        ]
    return []


def _prepare(job: Job, url: str) -> str:
    """Of the source that the config has by itself."""
    replaced = ("--workdir", "--config.data.source")
    config = [a for a in job.arguments if a.partition("=")[0] not in replaced]
    return shlex.join(["python", "-m", "trainer", "--mode=prepare", *config, f"--workdir={url}"])
