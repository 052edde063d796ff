"""What a job on GKE needs before it starts, as lines with the commands that create or show it.

    lines = needs(job, options)

By Google's documentation, not tried.
"""

import shlex

from deploy import prerequisites
from deploy.job import Job
from deploy.targets.gke import gpus, placement
from deploy.targets.gke.cluster import gke_cluster
from deploy.targets.gke.kubectl import RELEASE
from deploy.targets.gke.options import FLEX_START, ON_DEMAND, Options

_RESERVATIONS = "cloud.google.com/kubernetes-engine/docs/how-to/consuming-reservations"
_VERSION = "kubectl get deployment --namespace=jobset-system --output=wide"
_APIS = (
    "container.googleapis.com",
    "artifactregistry.googleapis.com",
    "iamcredentials.googleapis.com",
)


def needs(job: Job, options: Options) -> list[str]:
    """Returns the lines, those of the project first."""
    project = _project(options)
    lines = [
        *prerequisites.credentials_and_apis(project, *_APIS),
        _submitter(project),
        *_quotas(options),
        _cluster(options),
        f"JobSet v0.10.0 or later in it, which this shows: {_VERSION}; this installs it: "
        f"{_apply('jobset')}",
        *_queue(options),
        *prerequisites.image(options.image, bool(options.tpu_topology)),
        _pull(project),
        prerequisites.bucket(job, project, options.region),
        *_bucket_access(job, options),
        "in a cluster without internet: Private Google Access, for the bucket and the image. "
        "Nothing is downloaded from PyPI, since the job installs its archive with pip's --no-index",
    ]
    return [*lines, *_tpu(options), *prerequisites.reviews(job)]


def _project(options: Options) -> str:
    """Returns the project's ID, or a placeholder: with --image no project needs to be known."""
    cluster = gke_cluster(options.context)
    return (cluster[0] if cluster else options.project) or "PROJECT"


def _submitter(project: str) -> str:
    grant = prerequisites.project_roles(project, prerequisites.USER, "roles/container.developer")
    return f"your permission to submit, if you are not the project's owner: {grant}"


def _pull(project: str) -> str:
    grant = prerequisites.grants(project, "", "roles/artifactregistry.reader")
    return f"the image, readable to the nodes' service account, here the default one: {grant}"


def _quotas(options: Options) -> list[str]:
    """Returns the line for the quota of Compute Engine that the accelerators count against."""
    if options.tpu_topology:
        kind = "" if options.provisioning == ON_DEMAND else "PREEMPTIBLE_"
        metric, number = f"{kind}TPU_LITE_PODSLICE_V5", options.chips
    elif options.accelerator:
        metric = gpus.quota(options.accelerator, options.provisioning)
        number = options.workers * options.gpus
    else:
        return []
    project = f"--project={_project(options)}"
    describe = ["gcloud", "compute", "regions", "describe", options.region, project]
    region = shlex.join([*describe, "--format=json(quotas)"])
    everywhere = shlex.join(["gcloud", "compute", "project-info", "describe", project])
    total = "" if options.tpu_topology else f", and GPUS_ALL_REGIONS: {everywhere}"
    return [
        f"quota for {number} of {metric} in {options.region}: {region}{total}; more on the "
        "console's page IAM & Admin > Quotas"
    ]


def _cluster(options: Options) -> str:
    _, location, cluster = gke_cluster(options.context) or ("", options.region, "CLUSTER")
    get = ["gcloud", "container", "clusters", "get-credentials", cluster]
    get += [f"--location={location}", f"--project={_project(options)}"]
    labels = ", ".join(f"{key}={value}" for key, value in placement.node_labels(options).items())
    oldest = "1.31" if options.is_slice_of_several else "1.28"  # successPolicy needs 1.31
    if options.provisioning == FLEX_START:
        oldest = "1.33" if options.tpu_topology else "1.32.2"
    pool = f"a node pool of {labels}, or Autopilot" if labels else "a node pool, or Autopilot"
    reserved = f" (a reservation: {_RESERVATIONS})" if options.reservation else ""
    return (
        f"a cluster of Kubernetes {oldest} or later, with workload identity and with {pool}"
        f"{reserved}, and kubectl connected to it: {shlex.join(get)}"
    )


def _queue(options: Options) -> list[str]:
    if not options.queue:
        return []
    show = ["kubectl", "get", f"localqueue/{options.queue}", f"--namespace={options.namespace}"]
    return [
        f"Kueue, of a version that knows JobSet v0.10: {_apply('kueue')}; and in it the queue, "
        f"which this shows: {shlex.join(show)}"
    ]


def _apply(name: str) -> str:
    return f"kubectl apply --server-side -f {RELEASE.format(name)}"


def _bucket_access(job: Job, options: Options) -> list[str]:
    """Returns the lines that let the pods' service account use the bucket, and read others."""
    project = _project(options)
    account = f"ns/{options.namespace}/sa/{options.service_account}"
    number = prerequisites.project_number(project)
    member = (
        f'"principal://iam.googleapis.com/projects/{number}/locations/global/'
        f'workloadIdentityPools/{project}.svc.id.goog/subject/{account}"'
    )
    grant = prerequisites.bucket_role(job.bucket, member, "roles/storage.objectUser")
    return [
        f"access of the pods to the bucket, by workload identity: {grant}",
        *prerequisites.other_buckets(job, member),
    ]


def _tpu(options: Options) -> list[str]:
    if not options.tpu_topology:
        return []
    namespace = f"--namespace={options.namespace}"
    lines = [
        "a namespace whose Pod Security level is not `restricted`, since a TPU's pods run as root: "
        f"kubectl get namespace {options.namespace} --show-labels"
    ]
    if options.is_slice_of_several:
        rule = prerequisites.slice_network_rule("a NetworkPolicy", "the pods of the job")
        lines.append(f"{rule}: kubectl get networkpolicy {namespace}")
    return lines
