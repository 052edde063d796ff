"""Runs a job on Google Kubernetes Engine: a JobSet for kubectl, which does the rest.

    options = Options(workers=3, spot=True, queue="lstm")
    print(render(request(job, options)))        # for `kubectl apply -f -`
    print(manage("wait", job.name, options))    # the command that waits for it

One Job of `workers` pods with GPUs, or of the pods that share a TPU slice. Not run on hardware.
"""

import os
import shlex
from pathlib import Path
from typing import Any

from configs.schema import rules
from deploy import compatibility
from deploy import prerequisites as common
from deploy.checks import matching
from deploy.job import Job, check_name
from deploy.targets.gke import restart_rules, yaml_text
from deploy.targets.gke.options import TEXTS, Options
from storage.errors import UserError

NEEDS = ()
_PAYLOAD = Path(__file__).parents[2] / "payload"

# What tells a pod of several its place, and the port of each for the others.
_LAUNCHER = {
    "workers": (_PAYLOAD / "gke_worker.py", 2222),
    "slice": (_PAYLOAD / "gke_slice.py", 8470),
}
# The Dockerfile's arguments: the TPU's TensorFlow, and what goes with it; see tpu_requirements.txt.
_TPU_BUILD = {"TENSORFLOW": "tensorflow-tpu==2.20.0 libtpu==0.0.21", "TENSORBOARD": "2.20.0"}
_EXCLUSIVE = "alpha.jobset.sigs.k8s.io/exclusive-topology"


def request(job: Job, options: Options) -> dict[str, Any]:
    """The JobSet; UserError when the config's strategy does not fit it, or no project is known."""
    if options.tpu_topology:
        compatibility.strategy(
            job.config, ("auto", "tpu"), f"--tpu_topology={options.tpu_topology}"
        )
        rules.check_replicas(job.config, options.chips)
    else:
        compatibility.on_gpus(job, options.workers, options.accelerators)
    labels = {"app.kubernetes.io/name": "longhaul", "longhaul/digest": job.digest[:16]}
    pods = {
        "completionMode": "Indexed",
        "completions": options.pods,
        "parallelism": options.pods,
        "backoffLimit": 0,
        "activeDeadlineSeconds": options.max_run_hours * 3600,
        "podFailurePolicy": {"rules": restart_rules.of_pods("trainer")},
        "template": {"spec": _pod(job, options)},
    }
    annotations = {}
    if options.is_slice_of_several:
        # The job runs in the first; the others serve.
        pods["successPolicy"] = {"rules": [{"succeededIndexes": "0"}]}
        # One slice is one node pool, and nothing else keeps the pods of a job in one of several.
        annotations[_EXCLUSIVE] = "cloud.google.com/gke-nodepool"
    spec = {
        # Pods find each other as JOBSET-worker-0-INDEX.SUBDOMAIN.
        "network": {"enableDNSHostnames": True, "subdomain": job.name},
        "failurePolicy": {"maxRestarts": options.max_restarts, "rules": restart_rules.of_job_set()},
        "replicatedJobs": [{"name": "worker", "replicas": 1, "template": {"spec": pods}}],
    }
    if options.queue:
        labels["kueue.x-k8s.io/queue-name"] = options.queue
        spec = {"suspend": True, **spec}  # Kueue lets it go when there is room
    return {
        "apiVersion": "jobset.x-k8s.io/v1alpha2",
        "kind": "JobSet",
        "metadata": {
            "name": job.name,
            "namespace": options.namespace,
            "labels": labels,
            **({"annotations": annotations} if annotations else {}),
        },
        "spec": spec,
    }


def render(request: dict[str, Any]) -> str:
    """The manifest as YAML."""
    return yaml_text.dump(request)


def equivalent(job: Job, options: Options) -> str:
    """The command of kubectl that takes the manifest."""
    return "kubectl apply -f -  # with the manifest above as its input"


def prerequisites(job: Job, options: Options) -> list[str]:
    """What has to be there before, each with the command that makes it."""
    project = _project(options) or "PROJECT"
    release = "kubectl apply --server-side -f https://github.com/kubernetes-sigs/{}/releases/latest"
    needed = [
        *common.start(project, "container.googleapis.com", "artifactregistry.googleapis.com"),
        _cluster(options),
        f"JobSet v0.10.0 or later in it: {release.format('jobset')}/download/manifests.yaml",
        *_image_made(options),
        common.bucket(job, project, options.region),
        _bucket_opened(job, options),
    ]
    if options.queue:
        queue = shlex.join(["kubectl", "get", f"localqueue/{options.queue}", _namespace(options)])
        needed.append(
            f"Kueue: {release.format('kueue')}/download/manifests.yaml; and in it the queue, which "
            f"this finds: {queue}"
        )
    if options.is_slice_of_several:
        policy = common.between_servers("a NetworkPolicy", "the pods of the job")
        needed.append(f"{policy}: kubectl get networkpolicy {_namespace(options)}")
    needed += common.reviews(job)
    return needed


def manage(verb: str, job_name: str, options: Options) -> str:
    """The command of kubectl for status, wait, logs or cancel; UserError on an impossible name."""
    check_name(job_name)
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
    matching("project", project, *TEXTS["project"])
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
    nodes = ", ".join(f"{key}={value}" for key, value in _devices(options)[1].items())
    least = "1.31" if options.is_slice_of_several else "1.28"  # successPolicy
    return (
        f"a cluster of Kubernetes {least} or later with a node pool"
        f"{f' of {nodes}' if nodes else ''}, and kubectl set to it: {shlex.join(get)}"
    )


def _image_made(options: Options) -> list[str]:
    if not options.tpu_topology:
        return common.image(_image(options))
    return common.image(_image(options), _TPU_BUILD)


def _bucket_opened(job: Job, options: Options) -> str:
    project = _project(options) or "PROJECT"
    account = f"ns/{options.namespace}/sa/{options.service_account}"
    grant = ["gcloud", "storage", "buckets", "add-iam-policy-binding", job.bucket]
    grant += ["--role=roles/storage.objectUser"]
    return (
        f"the bucket open to the pods, by workload identity: {shlex.join(grant)} "
        f'--member="principal://iam.googleapis.com/projects/{common.number(project)}/locations/'
        f'global/workloadIdentityPools/{project}.svc.id.goog/subject/{account}"'
    )


def _namespace(options: Options) -> str:
    return f"--namespace={options.namespace}"
