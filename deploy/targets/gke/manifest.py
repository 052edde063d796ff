"""The JobSet that runs a job: one Job of pods with GPUs, or of the pods of a TPU slice.

print(yaml_text.dump(job_set(job, Options(workers=3, provisioning="spot"))))
"""

from pathlib import Path
from typing import Any

from configs.schema import rules
from deploy.checks import refusal
from deploy.compatibility import check_gpus, check_strategy, expecting
from deploy.image import TPU_LIBRARY
from deploy.job import PREPARE, Job
from deploy.targets.gke import placement, restart_rules
from deploy.targets.gke.options import Options
from deploy.targets.gke.pod_logs import CONTAINER
from storage.errors import UserError

_PAYLOAD = Path(__file__).parents[2] / "payload"
# What tells each of several pods its index, and the port that the others reach it at.
_WORKER_LAUNCHER = (_PAYLOAD / "gke_worker.py", 2222)
_SLICE_LAUNCHER = (_PAYLOAD / "gke_slice.py", 8470)
# Without these, TensorFlow on a TPU v5e takes an older way that does not support it.
_TPU_VARIABLES = {
    "NEXT_PLUGGABLE_DEVICE_USE_C_API": "true",
    "TF_PLUGGABLE_DEVICE_LIBRARY_PATH": TPU_LIBRARY,
}


def job_set(job: Job, options: Options) -> dict[str, Any]:
    """Returns the JobSet.

    Raises UserError when the config doesn't fit the pods, or no project of the image is known.
    """
    _check(job, options)
    labels = {"app.kubernetes.io/name": "longhaul", "longhaul/digest": job.digest[:16]}
    metadata: dict[str, Any] = {"name": job.name, "namespace": options.namespace, "labels": labels}
    if annotations := placement.annotations(options):
        metadata["annotations"] = annotations
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


def _check(job: Job, options: Options) -> None:
    """Raises UserError when the job can't run on the pods."""
    if not options.image:
        raise UserError(
            "--image: missing, and no project to look for it in; give --image or --project, or set "
            "GOOGLE_CLOUD_PROJECT"
        )
    if job.mode == PREPARE:
        if options.tpu_topology:
            raise refusal("tpu_topology", options.tpu_topology, "'' with --mode=prepare")
    elif options.tpu_topology:
        topology = f"--tpu_topology={options.tpu_topology}"
        check_strategy(job.config, ("auto", "tpu"), topology)
        rules.check_replicas(job.config, options.chips)
        rules.check_widths(job.config)
    else:
        check_gpus(job, options.workers, options.gpus)


def _job_spec(job: Job, options: Options) -> dict[str, Any]:
    spec = {
        "completionMode": "Indexed",
        "completions": options.pods,
        "parallelism": options.pods,
        "backoffLimit": 0,
        "activeDeadlineSeconds": options.max_run_hours * 3600,
        "podFailurePolicy": {"rules": restart_rules.pod_rules(CONTAINER)},
        "template": {"spec": _pod_spec(job, options)},
    }
    if options.is_slice_of_several:
        # The job runs in the first pod; the others only serve their chips.
        spec["successPolicy"] = {"rules": [{"succeededIndexes": "0"}]}
    return spec


def _pod_spec(job: Job, options: Options) -> dict[str, Any]:
    """Returns what all pods share; a pod learns from its index which one it is."""
    container = _container(job, options)
    pod = {
        "restartPolicy": "Never",  # restart_rules.py says when all pods start again
        "serviceAccountName": options.service_account,
        "terminationGracePeriodSeconds": placement.seconds_to_save(options),
        "nodeSelector": placement.node_labels(options),
        **placement.tolerations(options),
        "containers": [container],
    }
    if options.tpu_topology:
        # The image's user is not root. A TPU's device files (/dev/vfio/*, /dev/accel*) belong to
        # root on the node, and the pod sees them with that owner.
        pod["securityContext"] = {"runAsUser": 0, "runAsGroup": 0}
    if options.gpus > 1:
        # GPUs without a direct link exchange gradients in /dev/shm; by default it has 64 MiB.
        container["volumeMounts"] = [{"name": "memory", "mountPath": "/dev/shm"}]  # noqa: S108
        pod["volumes"] = [{"name": "memory", "emptyDir": {"medium": "Memory"}}]
    return pod


def _container(job: Job, options: Options) -> dict[str, Any]:
    command, variables = expecting(job, options.chips or options.gpus).command, {}
    if options.pods > 1 and job.mode != PREPARE:
        launcher, port = _SLICE_LAUNCHER if options.tpu_topology else _WORKER_LAUNCHER
        command = ("python3", "-c", launcher.read_text(encoding="utf-8"), *command)
        hosts = [f"{job.name}-worker-0-{i}.{job.name}:{port}" for i in range(options.pods)]
        variables["LONGHAUL_HOSTS"] = ",".join(hosts)
    elif options.tpu_topology:
        variables = _TPU_VARIABLES
    devices = placement.devices(options)
    requests = {"cpu": options.cpu, "memory": options.memory, **devices}
    return {
        "name": CONTAINER,
        "image": options.image,
        # Kubernetes replaces $(NAME) with the variable's value; it reads $$ as a plain $.
        "command": [argument.replace("$", "$$") for argument in command],
        "env": [{"name": name, "value": value} for name, value in variables.items()],
        "resources": {"requests": requests, "limits": devices},
    }
