"""The prerequisites of a job, as lines with the commands that create them.

[bucket(job, project, "us-central1"), *image("us-docker.pkg.dev/P/R/I:T"), *reviews(job)]
"""

import shlex

from deploy import image as container_image
from deploy.job import Job
from input_pipeline.sources import registry


def credentials_and_apis(project: str, *apis: str) -> list[str]:
    """Returns the lines for what every job needs: credentials, and the services' APIs enabled."""
    enable = shlex.join(["gcloud", "services", "enable", *apis, f"--project={project}"])
    return [
        "credentials on this machine: gcloud auth application-default login",
        f"the services' APIs: {enable}",
    ]


def project_number(project: str) -> str:
    """Returns a shell expression for the project's number."""
    describe = ["gcloud", "projects", "describe", project, "--format=value(projectNumber)"]
    return f"$({shlex.join(describe)})"


def grants(project: str, account: str, *roles: str) -> str:
    """Returns the commands that grant roles to a service account.

    An account of "" is Compute Engine's default service account.
    """
    member = account or f"{project_number(project)}-compute@developer.gserviceaccount.com"
    grant = shlex.join(["gcloud", "projects", "add-iam-policy-binding", project])
    # In double quotes, so that the shell fills in the number.
    each = (f'{grant} --member="serviceAccount:{member}" --role={role}' for role in roles)
    return " && ".join(each)


def slice_network_rule(rule: str, machines: str) -> str:
    """Returns the rule of the network that TensorFlow's servers in a slice need."""
    return (
        f"{rule} that opens ports 8470 and 8476 between {machines} and to nobody else, since "
        "TensorFlow's servers there ask for no password"
    )


def bucket(job: Job, project: str, location: str) -> str:
    """Returns the line for the workdir's bucket."""
    create = ["gcloud", "storage", "buckets", "create", job.bucket, f"--project={project}"]
    return f"the bucket: {shlex.join([*create, f'--location={location}'])}"


def image(name: str, tpu: bool = False) -> list[str]:
    """Returns the lines for the container image and the repository that holds it."""
    if "@" in name:
        return [f"the image {name}, which exists already, since a digest names it"]
    once = ("the repository", "docker's access to it")
    prepare = zip(once, container_image.prepare_commands(name), strict=False)
    by_hand = " && ".join(container_image.commands(name, tpu))
    return [
        *(f"{what}: {command}" for what, command in prepare),
        "the image: python -m deploy.submit image, with --target and its flags as here; or by "
        f"hand: {by_hand}",
    ]


def reviews(job: Job) -> list[str]:
    """Returns the lines for reviews that are not part of the job itself."""
    source = job.config.data.source
    kind, argument = registry.kind_of(source)
    if kind.job_needs == "preparation":
        return [f"the reviews in shards: {_prepare(job, argument)}"]
    if kind.job_needs == "internet":
        prepared = next(kind for kind in registry.KINDS if kind.job_needs == "preparation")
        url = f"{job.bucket}/PATH"
        return [
            f"access to the internet, for {source}; or the reviews in shards, with "
            f"--config.data.source={prepared.prefix}:{url}: {_prepare(job, url)}"
        ]
    return []


def _prepare(job: Job, url: str) -> str:
    """Returns the command that writes shards to `url`, from the source that the config names."""
    replaced = ("--workdir", "--config.data.source")
    config = [a for a in job.arguments if a.partition("=")[0] not in replaced]
    return shlex.join(["python", "-m", "trainer", "--mode=prepare", *config, f"--workdir={url}"])
