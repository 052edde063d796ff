"""What jobs of any target need before they start, in lines with the commands that make it.

[bucket(job, project, "us-central1"), *image("us-docker.pkg.dev/P/R/I:T"), *reviews(job)]
"""

import shlex
from collections.abc import Mapping

from deploy.job import Job

_REGISTRY = "-docker.pkg.dev"


def start(project: str, *services: str) -> list[str]:
    """What comes before everything else: credentials and the services' interfaces."""
    enable = shlex.join(["gcloud", "services", "enable", *services, f"--project={project}"])
    return [
        "credentials on this machine: gcloud auth application-default login",
        f"the services: {enable}",
    ]


def number(project: str) -> str:
    """The project's number, as a shell finds it."""
    describe = ["gcloud", "projects", "describe", project, "--format=value(projectNumber)"]
    return f"$({shlex.join(describe)})"


def granted(project: str, account: str, *roles: str) -> str:
    """The commands that give roles to a service account; '' is Compute Engine's default one."""
    member = account or f"{number(project)}-compute@developer.gserviceaccount.com"
    grant = shlex.join(["gcloud", "projects", "add-iam-policy-binding", project])
    # In double quotes, for the number to be found.
    each = (f'{grant} --member="serviceAccount:{member}" --role={role}' for role in roles)
    return " && ".join(each)


def between_servers(what: str, machines: str) -> str:
    """What keeps TensorFlow's servers among the machines of a slice, which they answer to."""
    return (
        f"{what} that lets {machines} reach each other's TensorFlow servers, at ports 8470 and "
        "8476, and nobody else, since these ask for no password"
    )


def bucket(job: Job, project: str, location: str) -> str:
    """The workdir's bucket."""
    create = ["gcloud", "storage", "buckets", "create", job.bucket, f"--project={project}"]
    return f"the bucket: {shlex.join([*create, f'--location={location}'])}"


def image(name: str, arguments: Mapping[str, str] | None = None) -> list[str]:
    """A container image of deploy/payload/Dockerfile, and the repository that it lies in.

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
    if lines:
        lines.append(f"docker let into it: gcloud auth configure-docker {registry}")
    return [*lines, f"the image: {shlex.join([*build, '-'])} < deploy/payload/Dockerfile && {push}"]


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
