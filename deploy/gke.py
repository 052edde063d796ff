"""Runs a job on Google Kubernetes Engine: a JobSet for kubectl, which does the rest.

    options = Options(workers=3, spot=True, queue="lstm")
    print(render(request(job, options)))        # for `kubectl apply -f -`
    print(manage("wait", job.name, options))    # the command that waits for it

One Job of `workers` pods with GPUs, or of the pods that share a TPU slice. Not run on hardware.
"""

import dataclasses
import math
import os
import shlex
from pathlib import Path
from typing import Any

import yaml

from configs import validate
from deploy import fits, gke_restarts
from deploy import prerequisites as common
from deploy.checks import PROJECT, REGION, between, matching, refused
from deploy.job import Job
from storage.errors import UserError

NEEDS = ()

# What tells a pod of several its place, and the port of each for the others.
_LAUNCHER = {
    "workers": (Path(__file__).with_name("gke_worker.py"), 2222),
    "slice": (Path(__file__).with_name("gke_slice.py"), 8470),
}
# cloud.google.com/kubernetes-engine/docs/concepts/plan-tpus: slices of up to 8 chips may be one
# machine, the machines of larger ones have four each.
_ONE_MACHINE, _CHIPS_OF_SEVERAL = 8, 4
# The Dockerfile's arguments: the TPU's TensorFlow, and what goes with it; see tpu_requirements.txt.
_TPU_BUILD = {"TENSORFLOW": "tensorflow-tpu==2.20.0 libtpu==0.0.21", "TENSORBOARD": "2.20.0"}
_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
# Flag -> (what it may hold, the same in words).
_TEXTS = {
    "project": (f"(?:{PROJECT})?", "a project's id, such as my-project-1"),
    "region": (REGION, "a region such as us-central1"),
    "namespace": (_LABEL, "a Kubernetes namespace: small letters, digits and '-'"),
    "image": (
        r"(?:[a-z0-9][A-Za-z0-9._:/@-]{0,254})?",
        "a container image such as us-central1-docker.pkg.dev/PROJECT/longhaul/longhaul:tf2.21",
    ),
    "accelerator": (f"(?:{_LABEL})?", "GKE's name of a GPU, such as nvidia-l4; '' is none"),
    "tpu_accelerator": (
        "tpu-v5-lite-podslice|tpu-v6e-slice",
        "tpu-v5-lite-podslice or tpu-v6e-slice",
    ),
    "tpu_topology": (
        "(?:1x1|2x2|2x4|4x4|4x8|8x8|8x16|16x16)?",
        "1x1, 2x2 or 2x4, the slices of one machine, 4x4, 4x8, 8x8, 8x16, 16x16; '' is no TPU",
    ),
    "queue": (f"(?:{_LABEL})?", "the name of a Kueue LocalQueue; '' is none"),
    "service_account": (_LABEL, "a Kubernetes service account: small letters, digits and '-'"),
    "cpu": (r"[1-9]\d{0,2}|[1-9]\d{1,5}m", "cores such as 4, or thousandths such as 500m"),
    "memory": (r"[1-9]\d{0,5}[MGT]i", "memory such as 16Gi"),
}


@dataclasses.dataclass(frozen=True)
class Options:
    """The flags; UserError on one that is not accepted."""

    project: str = ""  # where the image is; GOOGLE_CLOUD_PROJECT unless given
    region: str = "us-central1"  # the same
    image: str = ""
    namespace: str = "default"
    queue: str = ""
    accelerator: str = "nvidia-l4"
    accelerators: int = 1  # of each pod
    workers: int = 1  # pods
    tpu_accelerator: str = "tpu-v5-lite-podslice"
    tpu_topology: str = ""  # when given, there are no GPUs
    spot: bool = False
    service_account: str = "default"
    cpu: str = "3"  # of each pod, and so is the memory: what g2-standard-4, with one L4, can give
    memory: str = "12Gi"
    max_restarts: int = 10
    max_run_hours: int = 24  # of one start: every restart has as long again

    def __post_init__(self):
        for flag, (pattern, accepted) in _TEXTS.items():
            matching(flag, getattr(self, flag), pattern, accepted)
        between("accelerators", self.accelerators, 1, 16)
        between("workers", self.workers, 1, 256)
        between("max_restarts", self.max_restarts, 0, 1000)
        between("max_run_hours", self.max_run_hours, 1, 24 * 28, "hours")
        if self.tpu_topology and self.workers > 1:
            raise refused("workers", self.workers, "1 with --tpu_topology, which says how many")

    @property
    def chips(self) -> int:
        """Of the TPU slice."""
        return math.prod(map(int, self.tpu_topology.split("x")))

    @property
    def pods(self) -> int:
        """As many as machines."""
        if self.tpu_topology and self.chips > _ONE_MACHINE:
            return self.chips // _CHIPS_OF_SEVERAL
        return self.workers


def request(job: Job, options: Options) -> dict[str, Any]:
    """The JobSet; UserError when the config's strategy does not fit it, or no project is known."""
    if options.tpu_topology:
        fits.strategy(job, ("auto", "tpu"), f"--tpu_topology={options.tpu_topology}")
        validate.check_replicas(job.config, options.chips)
    else:
        fits.on_gpus(job, options.workers, options.accelerators)
    labels = {"app.kubernetes.io/name": "longhaul", "longhaul/digest": job.digest[:16]}
    pods = {
        "completionMode": "Indexed",
        "completions": options.pods,
        "parallelism": options.pods,
        "backoffLimit": 0,
        "activeDeadlineSeconds": options.max_run_hours * 3600,
        "podFailurePolicy": {"rules": gke_restarts.of_pods("trainer")},
        "template": {"spec": _pod(job, options)},
    }
    if options.tpu_topology and options.pods > 1:  # the job runs in the first; the others serve
        pods["successPolicy"] = {"rules": [{"succeededIndexes": "0"}]}
    spec = {
        # Pods find each other as JOBSET-worker-0-INDEX.SUBDOMAIN.
        "network": {"enableDNSHostnames": True, "subdomain": job.name},
        "failurePolicy": {"maxRestarts": options.max_restarts, "rules": gke_restarts.of_job_set()},
        "replicatedJobs": [{"name": "worker", "replicas": 1, "template": {"spec": pods}}],
    }
    if options.queue:
        labels["kueue.x-k8s.io/queue-name"] = options.queue
        spec = {"suspend": True, **spec}  # Kueue lets it go when there is room
    return {
        "apiVersion": "jobset.x-k8s.io/v1alpha2",
        "kind": "JobSet",
        "metadata": {"name": job.name, "namespace": options.namespace, "labels": labels},
        "spec": spec,
    }


def render(request: dict[str, Any]) -> str:
    """The manifest as YAML."""
    return yaml.dump(request, Dumper=_Dumper, sort_keys=False, width=math.inf)


def equivalent(job: Job, options: Options) -> str:
    """The command of kubectl that takes the manifest."""
    return "kubectl apply -f -  # with the manifest above as its input"


def prerequisites(job: Job, options: Options) -> list[str]:
    """What has to be there before, each with the command that makes it."""
    needed = [
        _cluster(options),
        "JobSet v0.10.0 or later in it: kubectl apply --server-side -f https://github.com/"
        "kubernetes-sigs/jobset/releases/download/VERSION/manifests.yaml",
        *_image_made(options),
        _bucket_opened(job, options),
    ]
    if options.queue:
        queue = shlex.join(["kubectl", "get", f"localqueue/{options.queue}", _namespace(options)])
        needed.append(
            "Kueue: kubectl apply --server-side -f https://github.com/kubernetes-sigs/kueue/"
            f"releases/download/VERSION/manifests.yaml; and in it the queue: {queue}"
        )
    needed += common.reviews(job)
    return needed


def manage(verb: str, job_name: str, options: Options) -> str:
    """The command of kubectl for status, wait, logs or cancel; UserError on an impossible name."""
    matching("name", job_name, _LABEL, "the name of a job: small letters, digits and '-'")
    job_set, label = f"jobset/{job_name}", f"jobset.sigs.k8s.io/jobset-name={job_name}"
    commands = {
        "status": ["get", job_set],
        # Completed or Failed; a negative timeout is a week.
        "wait": ["wait", job_set, "--for=jsonpath={.status.terminalState}", "--timeout=-1s"],
        "logs": ["logs", f"--selector={label}", "--prefix", "--tail=-1"],
        "cancel": ["delete", job_set],
    }
    return shlex.join(["kubectl", *commands[verb], _namespace(options)])


def _pod(job: Job, options: Options) -> dict:
    """All pods are the same; which one it is a pod learns from its index."""
    command, environment = job.command, []
    if options.pods > 1:
        launcher, port = _LAUNCHER["slice" if options.tpu_topology else "workers"]
        command = ("python3", "-c", launcher.read_text(encoding="utf-8"), *command)
        hosts = [f"{job.name}-worker-0-{i}.{job.name}:{port}" for i in range(options.pods)]
        environment = [{"name": "LONGHAUL_HOSTS", "value": ",".join(hosts)}]
    devices, nodes = _devices(options)
    requests = {"cpu": options.cpu, "memory": options.memory, **devices}
    container = {
        "name": "trainer",
        "image": _image(options),
        # Kubernetes puts variables in for $(NAME), and $$ is a $ to it.
        "command": [argument.replace("$", "$$") for argument in command],
        "env": environment,
        "resources": {"requests": requests, "limits": devices},
    }
    pod = {
        "restartPolicy": "Never",  # gke_restarts sees to it
        "serviceAccountName": options.service_account,
        # To save in, between SIGTERM and SIGKILL; a spot node gives no more than 15 seconds
        # (cloud.google.com/kubernetes-engine/docs/concepts/spot-vms).
        "terminationGracePeriodSeconds": 15 if options.spot else 60,
        "nodeSelector": nodes,
        "containers": [container],
    }
    if options.spot:
        nodes["cloud.google.com/gke-spot"] = "true"
        spot = {"key": "cloud.google.com/gke-spot", "operator": "Equal", "value": "true"}
        pod["tolerations"] = [{**spot, "effect": "NoSchedule"}]
    if devices.get("nvidia.com/gpu", 0) > 1:
        # GPUs that can't reach each other exchange gradients there; a pod's own has 64 MiB.
        container["volumeMounts"] = [{"name": "memory", "mountPath": "/dev/shm"}]  # noqa: S108
        pod["volumes"] = [{"name": "memory", "emptyDir": {"medium": "Memory"}}]
    return pod


def _devices(options: Options) -> tuple[dict[str, int], dict[str, str]]:
    """What a pod takes of a node, and the labels of the nodes that have it."""
    if options.tpu_topology:
        labels = {
            "cloud.google.com/gke-tpu-accelerator": options.tpu_accelerator,
            "cloud.google.com/gke-tpu-topology": options.tpu_topology,
        }
        return {"google.com/tpu": options.chips // options.pods}, labels
    if options.accelerator:
        labels = {"cloud.google.com/gke-accelerator": options.accelerator}
        return {"nvidia.com/gpu": options.accelerators}, labels
    return {}, {}


def _project(options: Options) -> str:
    project = options.project or os.environ.get("GOOGLE_CLOUD_PROJECT", "")
    matching("project", project, *_TEXTS["project"])
    return project


def _image(options: Options) -> str:
    if options.image:
        return options.image
    project = _project(options)
    if not project:
        raise UserError(
            "--image: missing, and no project to look for it in; give --image or --project, or set "
            "GOOGLE_CLOUD_PROJECT"
        )
    tag = "tf2.20-tpu" if options.tpu_topology else "tf2.21"
    return f"{options.region}-docker.pkg.dev/{project}/longhaul/longhaul:{tag}"


def _cluster(options: Options) -> str:
    get = ["gcloud", "container", "clusters", "get-credentials", "CLUSTER"]
    get += [f"--region={options.region}", f"--project={_project(options) or 'PROJECT'}"]
    return f"a cluster with such nodes, and kubectl set to it: {shlex.join(get)}"


def _image_made(options: Options) -> list[str]:
    if not options.tpu_topology:
        return common.image(_image(options))
    return common.image(_image(options), _TPU_BUILD)


def _bucket_opened(job: Job, options: Options) -> str:
    pool = f"{_project(options) or 'PROJECT'}.svc.id.goog"
    account = f"ns/{options.namespace}/sa/{options.service_account}"
    grant = ["gcloud", "storage", "buckets", "add-iam-policy-binding", job.bucket]
    grant += ["--role=roles/storage.objectUser"]
    grant += [
        "--member=principal://iam.googleapis.com/projects/PROJECT_NUMBER/locations/global/"
        f"workloadIdentityPools/{pool}/subject/{account}"
    ]
    return f"the bucket open to the pods, by workload identity: {shlex.join(grant)}"


def _namespace(options: Options) -> str:
    return f"--namespace={options.namespace}"


class _Dumper(yaml.SafeDumper):
    """Texts of several lines as they are; no references from one place to another."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: _Dumper, value: str) -> yaml.ScalarNode:
    # Plain only what is a text to every reader of YAML: to some `1e3` is a number and `y` is true.
    plain = len(value) > 2 and value[0].isalpha()
    style = "|" if "\n" in value else None if plain else '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _text)
