"""The prerequisites of a job, as lines with the commands that create them.

[bucket(job, project, "us-central1"), *image("us-docker.pkg.dev/P/R/I:T"), *reviews(job)]
"""

import shlex

from deploy import image as container_image
from deploy.job import PREPARE, Job, bucket_of
from input_pipeline.sources import registry

# The account that runs the commands, as a word of the shell.
USER = '"user:$(gcloud config get-value account)"'


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


def service_account(address: str) -> str:
    """Returns a service account as a member of a policy, as a word of the shell.

    It is in double quotes, so that the shell fills in a project's number.
    """
    return f'"serviceAccount:{address}"'


def grants(project: str, account: str, *roles: str) -> str:
    """Returns the commands that grant roles to a service account.

    An account of "" is Compute Engine's default service account.
    """
    address = account or f"{project_number(project)}-compute@developer.gserviceaccount.com"
    return project_roles(project, service_account(address), *roles)


def project_roles(project: str, member: str, *roles: str) -> str:
    """Returns the commands that grant roles on everything in a project."""
    grant = shlex.join(["gcloud", "projects", "add-iam-policy-binding", project])
    return " && ".join(f"{grant} --member={member} --role={role}" for role in roles)


def bucket_role(bucket: str, member: str, role: str) -> str:
    """Returns the command that grants a role on gs://BUCKET."""
    grant = shlex.join(["gcloud", "storage", "buckets", "add-iam-policy-binding", bucket])
    return f"{grant} --member={member} --role={role}"


def act_as(account: str) -> str:
    """Returns the command that lets the user submit jobs that run as a service account."""
    grant = shlex.join(["gcloud", "iam", "service-accounts", "add-iam-policy-binding", account])
    return f"{grant} --member={USER} --role=roles/iam.serviceAccountUser"


def other_buckets(job: Job, member: str) -> list[str]:
    """Returns a line for each bucket, beside the workdir's, that the job reads as `member`."""
    _, source = registry.kind_of(job.config.data.source)
    urls = (source, job.config.checkpoint.init_from)
    buckets = {bucket_of(url): url for url in urls if url.startswith("gs://")}
    return [
        f"read access to {url}: {bucket_role(bucket, member, 'roles/storage.objectViewer')}"
        for bucket, url in buckets.items()
        if bucket != job.bucket
    ]


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
    host = name.partition("/")[0]
    once = (f"the repository in {host}", f"docker's access to {host}")
    prepare = zip(once, container_image.prepare_commands(name), strict=False)
    by_hand = " && ".join(container_image.commands(name, tpu))
    return [
        *(f"{what}: {command}" for what, command in prepare),
        f"the image {name}: python -m deploy.submit image, with --target and its flags as here; "
        f"or by hand: {by_hand}",
    ]


def reviews(job: Job) -> list[str]:
    """Returns the lines for reviews that are not part of the job itself."""
    source = job.config.data.source
    kind, argument = registry.kind_of(source)
    if kind.job_needs == "preparation":
        return [f"the reviews in shards: {_prepare(job, argument)}"]
    if kind.job_needs == "internet" and job.mode == PREPARE:
        return [f"access to the internet, for {source}"]
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
    replaced = ("--workdir", "--config.data.source", "--mode")
    config = [a for a in job.arguments if a.partition("=")[0] not in replaced]
    if job.config_file:
        config = [f"--config={job.config_file}" if a.startswith("--config=") else a for a in config]
    return shlex.join(["python", "-m", "trainer", "--mode=prepare", *config, f"--workdir={url}"])
