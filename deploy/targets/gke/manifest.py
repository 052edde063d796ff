"""The JobSet that runs a job: one Job of pods with GPUs, or of the pods of a TPU slice.

print(yaml_text.dump(job_set(job, Options(workers=3, spot=True))))
"""

from pathlib import Path
from typing import Any

from configs.schema import rules
from deploy.compatibility import check_gpus, check_strategy
from deploy.job import Job
from deploy.targets.gke import restart_rules
from deploy.targets.gke.image import image
from deploy.targets.gke.options import Options

_PAYLOAD = Path(__file__).parents[2] / "payload"
# What tells each of several pods its index, and the port that the others reach it at.
_WORKER_LAUNCHER = (_PAYLOAD / "gke_worker.py", 2222)
_SLICE_LAUNCHER = (_PAYLOAD / "gke_slice.py", 8470)
_CONTAINER = "trainer"
_EXCLUSIVE = "alpha.jobset.sigs.k8s.io/exclusive-topology"


def job_set(job: Job, options: Options) -> dict[str, Any]:
    """Returns the JobSet.

    Raises UserError when the config doesn't fit the pods, or no project of the image is known.
    """
    _check_config(job, options)
    labels = {"app.kubernetes.io/name": "longhaul", "longhaul/digest": job.digest[:16]}
    metadata: dict[str, Any] = {"name": job.name, "namespace": options.namespace, "labels": labels}
    if options.is_slice_of_several:
        # A slice is one node pool; without this the pods may be spread over several.
        metadata["annotations"] = {_EXCLUSIVE: "cloud.google.com/gke-nodepool"}
    workers = {"name": "worker", "replicas": 1, "template": {"spec": _job_spec(job, options)}}
    spec: dict[str, Any] = {
        # The pods find each other as JOBSET-worker-0-INDEX.SUBDOMAIN.
        "network": {"enableDNSHostnames": True, "subdomain": job.name},
        "failurePolicy": {
            "maxRestarts": options.max_restarts,
            "rules": restart_rules.job_set_rules(),
        },
        "replicatedJobs": [workers],
    }
    if options.queue:
        labels["kueue.x-k8s.io/queue-name"] = options.queue
        spec = {"suspend": True, **spec}  # Kueue starts it when there is room
    return {
        "apiVersion": "jobset.x-k8s.io/v1alpha2",
        "kind": "JobSet",
        "metadata": metadata,
        "spec": spec,
    }


def devices(options: Options) -> tuple[dict[str, int], dict[str, str]]:
    """Returns the devices that a pod requests, and the labels of the nodes that have them."""
    if options.tpu_topology:
        labels = {
            "cloud.google.com/gke-tpu-accelerator": options.tpu_accelerator,
            "cloud.google.com/gke-tpu-topology": options.tpu_topology,
        }
        return {"google.com/tpu": options.chips // options.pods}, labels
    if options.accelerator:
        labels = {"cloud.google.com/gke-accelerator": options.accelerator}
        return {"nvidia.com/gpu": options.gpus}, labels
    return {}, {}


def _check_config(job: Job, options: Options) -> None:
    if options.tpu_topology:
        topology = f"--tpu_topology={options.tpu_topology}"
        check_strategy(job.config, ("auto", "tpu"), topology)
        rules.check_replicas(job.config, options.chips)
    else:
        check_gpus(job, options.workers, options.gpus)


def _job_spec(job: Job, options: Options) -> dict[str, Any]:
    spec = {
        "completionMode": "Indexed",
        "completions": options.pods,
        "parallelism": options.pods,
        "backoffLimit": 0,
        "activeDeadlineSeconds": options.max_run_hours * 3600,
        "podFailurePolicy": {"rules": restart_rules.pod_rules(_CONTAINER)},
        "template": {"spec": _pod_spec(job, options)},
    }
    if options.is_slice_of_several:
        # The job runs in the first pod; the others only serve their chips.
        spec["successPolicy"] = {"rules": [{"succeededIndexes": "0"}]}
    return spec


def _pod_spec(job: Job, options: Options) -> dict[str, Any]:
    """Returns what all pods share; a pod learns from its index which one it is."""
    pod_devices, nodes = devices(options)
    container = _container(job, options, pod_devices)
    pod = {
        "restartPolicy": "Never",  # restart_rules.py says when all pods start again
        "serviceAccountName": options.service_account,
        # Seconds between SIGTERM and SIGKILL, to save in; a spot node gives no more than 15
        # (cloud.google.com/kubernetes-engine/docs/concepts/spot-vms).
        "terminationGracePeriodSeconds": 15 if options.spot else 60,
        "nodeSelector": nodes,
        "containers": [container],
    }
    if options.spot:
        nodes["cloud.google.com/gke-spot"] = "true"
        spot = {"key": "cloud.google.com/gke-spot", "operator": "Equal", "value": "true"}
        pod["tolerations"] = [{**spot, "effect": "NoSchedule"}]
    if pod_devices.get("nvidia.com/gpu", 0) > 1:
        # GPUs without a direct link exchange gradients in /dev/shm; by default it has 64 MiB.
        container["volumeMounts"] = [{"name": "memory", "mountPath": "/dev/shm"}]  # noqa: S108
        pod["volumes"] = [{"name": "memory", "emptyDir": {"medium": "Memory"}}]
    return pod


def _container(job: Job, options: Options, pod_devices: dict[str, int]) -> dict[str, Any]:
    command, environment = job.command, []
    if options.pods > 1:
        launcher, port = _SLICE_LAUNCHER if options.tpu_topology else _WORKER_LAUNCHER
        command = ("python3", "-c", launcher.read_text(encoding="utf-8"), *command)
        hosts = [f"{job.name}-worker-0-{i}.{job.name}:{port}" for i in range(options.pods)]
        environment = [{"name": "LONGHAUL_HOSTS", "value": ",".join(hosts)}]
    requests = {"cpu": options.cpu, "memory": options.memory, **pod_devices}
    return {
        "name": _CONTAINER,
        "image": image(options),
        # Kubernetes replaces $(NAME) with the variable's value; it reads $$ as a plain $.
        "command": [argument.replace("$", "$$") for argument in command],
        "env": environment,
        "resources": {"requests": requests, "limits": pod_devices},
    }
