"""What jobs of any target need before they start, in lines with the commands that make it.

[bucket(job, project, "us-central1"), *image("us-docker.pkg.dev/P/R/I:T"), *reviews(job)]
"""

import shlex

from deploy.job import Job

_REGISTRY = "-docker.pkg.dev"


def bucket(job: Job, project: str, location: str) -> str:
    """The workdir's bucket."""
    create = ["gcloud", "storage", "buckets", "create", job.bucket, f"--project={project}"]
    return f"the bucket: {shlex.join([*create, f'--location={location}'])}"


def image(name: str, edit: str = "") -> list[str]:
    """A container image of deploy/Dockerfile, and the repository that it lies in.

    `edit` is a command that prints a Dockerfile made of that one.
    """
    registry, *path = name.split("/")[:3]
    lines = []
    if registry.endswith(_REGISTRY) and len(path) == 2:
        create = ["gcloud", "artifacts", "repositories", "create", path[1], f"--project={path[0]}"]
        create.append(f"--location={registry.removesuffix(_REGISTRY)}")
        lines.append(f"the repository: {shlex.join([*create, '--repository-format=docker'])}")
    quoted = shlex.quote(name)
    build = f"docker build --tag={quoted} -"
    build = f"{edit} | {build}" if edit else f"{build} < deploy/Dockerfile"
    return [*lines, f"the image: {build} && docker push {quoted}"]


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
