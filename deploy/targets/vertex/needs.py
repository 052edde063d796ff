"""What a job on Vertex AI needs before it starts, with the commands for it.

lines = needs(job, options)

The roles and quotas are those of the service's documentation; none of it was tried.
"""

import re
import shlex

from deploy import prerequisites
from deploy.image import artifact_registry
from deploy.job import Job
from deploy.targets.vertex import machine_types
from deploy.targets.vertex.options import ON_DEMAND, Options

_APIS = ("aiplatform", "artifactregistry", "cloudquotas")
_METRIC = "aiplatform.googleapis.com/custom_model_training"
# The machine families that share a quota: the console calls it "CPUs for N1/E2 machine types". The
# others have one each; its name is a guess for a4, g4 and newer ones, of which no source was found.
_SHARED_FAMILIES = ("n1", "e2")


def needs(job: Job, options: Options) -> list[str]:
    """Returns the prerequisites of a job, a line each."""
    project = options.project
    account = options.service_account
    return [
        *prerequisites.credentials_and_apis(project, *(f"{api}.googleapis.com" for api in _APIS)),
        *_quotas(options),
        prerequisites.bucket(job, project, options.region),
        *_roles_of_the_user(job, options),
        *(_roles_of_the_account(options) if account else []),
        *prerequisites.other_buckets(job, _runs_as(options)),
        *_network(options),
        *_access_to_the_image(options),
        *prerequisites.image(options.image),
        *prerequisites.reviews(job),
    ]


def quotas(options: Options) -> dict[str, int | None]:
    """Returns the quotas that a job needs: their metrics, and how much of each where it is known.

    Machines of spot and flex_start count as preemptible ones.
    """
    cores = machine_types.vcpus(options.machine)
    family = options.machine.partition("-")[0]
    if options.provisioning != ON_DEMAND:
        kind = f"{_METRIC}_preemptible"
        cpus = f"{kind}_cpus"
    else:
        kind = _METRIC
        cpus = f"{kind}_cpus" if family in _SHARED_FAMILIES else f"{kind}_{family}_cpus"
    needed: dict[str, int | None] = {cpus: cores and cores * options.workers}
    if options.accelerator:
        gpus = f"{kind}_{_gpu_in_quotas(options.accelerator)}_gpus"
        needed[gpus] = options.accelerators * options.workers
    return needed


def _gpu_in_quotas(accelerator: str) -> str:
    """Returns a GPU's name as quotas have it: nvidia_t4 for NVIDIA_TESLA_T4.

    Only the A100's memory is part of it, since there are two of them.
    """
    name = accelerator.lower().replace("tesla_", "")
    return name if "a100" in name else re.sub(r"_[0-9]+gb$", "", name)


def _quotas(options: Options) -> list[str]:
    lines = []
    for metric, count in quotas(options).items():
        show = ["gcloud", "beta", "quotas", "info", "list", f"--project={options.project}"]
        show += ["--service=aiplatform.googleapis.com", f"--filter=metric={metric}"]
        lines.append(
            f"quota of {count or 'enough'} {metric} in {options.region}: {shlex.join(show)}; more "
            f"is asked for on https://console.cloud.google.com/iam-admin/quotas?project="
            f"{options.project}"
        )
    return lines


def _roles_of_the_user(job: Job, options: Options) -> list[str]:
    user = prerequisites.USER
    roles = ("roles/aiplatform.user", "roles/logging.viewer")
    lines = [
        f"your account's roles, to submit and to read logs: "
        f"{prerequisites.project_roles(options.project, user, *roles)}",
        f"your account's access to the bucket: "
        f"{prerequisites.bucket_role(job.bucket, user, 'roles/storage.objectUser')}",
    ]
    if account := options.service_account:
        lines.append(
            f"your account's right to let jobs run as {account}: {prerequisites.act_as(account)}"
        )
    if options.debug_shell:
        lines.append(
            "--debug_shell: open the address that `status` shows, as an account with "
            "roles/aiplatform.user"
        )
    return lines


def _roles_of_the_account(options: Options) -> list[str]:
    """Returns the line for the account that the job runs as."""
    account = options.service_account
    roles = ["roles/storage.objectUser"]
    lines = []
    if options.tensorboard:
        roles = ["roles/storage.admin", "roles/aiplatform.user"]
        lines.append(
            f"--tensorboard: a bucket in {options.region} itself, since a multi-region one is "
            "refused"
        )
    member = prerequisites.service_account(account)
    granted = prerequisites.project_roles(options.project, member, *roles)
    return [f"{account} with its roles: {granted}", *lines]


def _network(options: Options) -> list[str]:
    """Returns the lines for a network and a reservation of the project's own."""
    pages = "https://cloud.google.com/vertex-ai/docs"
    lines = []
    if options.network:
        lines.append(f"{options.network}, peered with the service's: {pages}/general/vpc-peering")
    if options.reservation:
        lines.append(
            f"{options.reservation}, shared with Vertex AI, and by one of its pages a "
            f"--service_account: {pages}/training/use-reservations"
        )
    return lines


def _runs_as(options: Options) -> str:
    """Returns the member that the job's code runs as: by default an agent of the service."""
    return prerequisites.service_account(
        options.service_account or _agent(options.project, "gcp-sa-aiplatform-cc")
    )


def _access_to_the_image(options: Options) -> list[str]:
    """Returns the line for an image of another project, which the service's agent pulls."""
    registry = artifact_registry(options.image)
    if registry is None or registry.project == options.project:
        return []
    member = prerequisites.service_account(_agent(options.project, "gcp-sa-aiplatform"))
    location, project, repository = registry
    grant = ["gcloud", "artifacts", "repositories", "add-iam-policy-binding", repository]
    grant += [f"--project={project}", f"--location={location}"]
    return [
        "the service's access to the image's repository, in another project: "
        f"{shlex.join(grant)} --member={member} --role=roles/artifactregistry.reader"
    ]


def _agent(project: str, service: str) -> str:
    """Returns the address of an agent of the service, with a shell expression in it."""
    return f"service-{prerequisites.project_number(project)}@{service}.iam.gserviceaccount.com"
