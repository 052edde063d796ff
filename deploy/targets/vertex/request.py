"""The request that makes a CustomJob on Vertex AI, of one machine or several.

request = make_request(job, Options(region="us-central1", provisioning="spot"))
print(render_request(request))
"""

import dataclasses
import json
from datetime import timedelta
from typing import Any

from google.cloud.aiplatform_v1 import types as vertex
from google.protobuf import json_format

from deploy.compatibility import check_gpus
from deploy.job import Job
from deploy.targets.vertex.options import Options

_UPLOADED = "logs"  # the folder in base_output_directory: see CustomJobSpec's documentation


def make_request(job: Job, options: Options) -> vertex.CreateCustomJobRequest:
    """Returns the request for a job. Raises UserError when the config doesn't fit the machines."""
    check_gpus(job, options.workers, options.accelerators)
    if options.tensorboard:
        folder = f"--config.train.tensorboard_dir={_UPLOADED}"
        job = dataclasses.replace(job, arguments=(*job.arguments, folder))
    pools = [_worker_pool(job, options, 1)]
    if options.workers > 1:
        pools.append(_worker_pool(job, options, options.workers - 1))
    spec = vertex.CustomJobSpec(
        worker_pool_specs=pools,  # the first is the chief, and TF_CONFIG calls it so
        scheduling=_scheduling(options),
        service_account=options.service_account,
        network=options.network,
        tensorboard=options.tensorboard,
        # The service derives AIP_CHECKPOINT_DIR from this, where the checkpoints already are, and
        # AIP_TENSORBOARD_LOG_DIR, which it uploads to TensorBoard. So it has to be this run's
        # folder and not one that several runs share.
        base_output_directory={"output_uri_prefix": job.workdir},
    )
    check_tasks(spec)
    return vertex.CreateCustomJobRequest(
        parent=options.parent,
        custom_job=vertex.CustomJob(
            display_name=job.name,
            labels={"app": "longhaul", "longhaul-digest": job.digest[:16]},
            job_spec=spec,
        ),
    )


def render_request(request: vertex.CreateCustomJobRequest) -> str:
    """Returns the request as JSON, in the form of the service's REST interface."""
    return json.dumps(as_rest(request), indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def as_rest(message: Any) -> dict[str, Any]:
    """Returns a message of the client library as the service's REST interface has it."""
    return json_format.MessageToDict(type(message).pb(message))


def check_tasks(spec: vertex.CustomJobSpec) -> None:
    """Raises ValueError unless every pool runs a container.

    Setting one field of a protobuf oneof silently clears the others.
    """
    for index, pool in enumerate(spec.worker_pool_specs):
        task = type(pool).pb(pool).WhichOneof("task")
        if task != "container_spec":
            raise ValueError(f"worker_pool_specs[{index}]: task is {task}, wanted container_spec")


def _worker_pool(job: Job, options: Options, count: int) -> vertex.WorkerPoolSpec:
    program, *arguments = job.command
    machine = vertex.MachineSpec(machine_type=options.machine)
    if options.accelerator:
        machine.accelerator_type = vertex.AcceleratorType[options.accelerator]
        machine.accelerator_count = options.accelerators
    return vertex.WorkerPoolSpec(
        machine_spec=machine,
        replica_count=count,
        disk_spec={"boot_disk_size_gb": options.boot_disk_gb},
        container_spec={
            "image_uri": options.image,
            "command": [program],
            "args": arguments,
            "env": [{"name": "PYTHONUNBUFFERED", "value": "1"}],
        },
    )


def _scheduling(options: Options) -> vertex.Scheduling:
    scheduling = vertex.Scheduling(
        timeout=timedelta(hours=options.max_run_hours),
        strategy=vertex.Scheduling.Strategy[options.provisioning.upper()],
        # When one of several workers is lost the others stop too, and a restarted worker can't join
        # a running job: all of them start again together, from the last checkpoint.
        restart_job_on_worker_restart=options.workers > 1,
        disable_retries=False,  # starting again after a machine was taken away is a retry
    )
    if options.provisioning == "flex_start":  # wait in the queue at most as long as the job may run
        scheduling.max_wait_duration = timedelta(hours=options.max_run_hours)
    return scheduling
