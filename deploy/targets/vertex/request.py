"""The request that makes a CustomJob on Vertex AI, of one machine or several.

request = make_request(job, Options(region="us-central1", provisioning="spot"))
print(render_request(request))
"""

import dataclasses
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

from google.cloud.aiplatform_v1 import types as vertex
from google.protobuf import json_format

from deploy.compatibility import check_gpus, expecting
from deploy.exit_file import name_of
from deploy.job import PREPARE, Job
from deploy.targets.vertex.options import FLEX_START, ON_DEMAND, Options

_WORKER = Path(__file__).parents[2] / "payload" / "vertex_worker.py"
_EXIT_FILE = "LONGHAUL_EXIT_FILE"  # read by it
_UPLOADED = "logs"  # the folder in base_output_directory: see CustomJobSpec's documentation
_STANDARD = "STANDARD"  # the service's name of on_demand
_RESERVATION_KEY = "compute.googleapis.com/reservation-name"


def make_request(job: Job, options: Options) -> vertex.CreateCustomJobRequest:
    """Returns the request for a job. Raises UserError when the config doesn't fit the machines."""
    job = _for_machines(job, options)
    chief = _worker_pool(job, options, 1)
    chief.container_spec.env.append({"name": _EXIT_FILE, "value": exit_file(job)})
    pools = [chief]  # the first is the chief, and TF_CONFIG calls it so
    if options.workers > 1:
        pools.append(_worker_pool(job, options, options.workers - 1))
    spec = vertex.CustomJobSpec(
        worker_pool_specs=pools,
        scheduling=_scheduling(job, options),
        service_account=options.service_account,
        network=options.network,
        enable_web_access=options.debug_shell,
    )
    if options.tensorboard:
        spec.tensorboard = options.tensorboard
        # The service derives AIP_TENSORBOARD_LOG_DIR from this, which it uploads to TensorBoard. So
        # it has to be this run's folder and not one that several runs share.
        spec.base_output_directory.output_uri_prefix = job.workdir
    check_tasks(spec)
    return vertex.CreateCustomJobRequest(
        parent=options.parent,
        custom_job=vertex.CustomJob(
            display_name=job.name,
            labels={"app": "longhaul", "longhaul-digest": job.digest[:16]},
            job_spec=spec,
        ),
    )


def exit_file(job: Job) -> str:
    """Returns the URL of the file with the exit code of the job's last start."""
    return f"{job.workdir}/{name_of(job.name)}"


def exit_file_in(spec: vertex.CustomJobSpec) -> str:
    """Returns the same URL from what was submitted; "" when there is none."""
    environments = [pool.container_spec.env for pool in spec.worker_pool_specs[:1]]
    values = (v.value for variables in environments for v in variables if v.name == _EXIT_FILE)
    return next(values, "")


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


def _for_machines(job: Job, options: Options) -> Job:
    """Returns the job with the arguments that these machines need, once it is known to fit them."""
    check_gpus(job, options.workers, options.accelerators)
    job = expecting(job, options.accelerators)
    if options.tensorboard:
        folder = f"--config.train.tensorboard_dir={_UPLOADED}"
        job = dataclasses.replace(job, arguments=(*job.arguments, folder))
    return job


def _worker_pool(job: Job, options: Options, count: int) -> vertex.WorkerPoolSpec:
    worker = _WORKER.read_text(encoding="utf-8")
    return vertex.WorkerPoolSpec(
        machine_spec=_machine(options),
        replica_count=count,
        disk_spec={"boot_disk_size_gb": options.boot_disk_gb},
        container_spec={
            "image_uri": options.image,
            "command": ["python3"],
            "args": ["-c", worker, *job.command],
            "env": [{"name": "PYTHONUNBUFFERED", "value": "1"}],
        },
    )


def _machine(options: Options) -> vertex.MachineSpec:
    machine = vertex.MachineSpec(machine_type=options.machine)
    if options.accelerator:
        machine.accelerator_type = vertex.AcceleratorType[options.accelerator]
        machine.accelerator_count = options.accelerators
    if options.reservation:
        machine.reservation_affinity = {
            "reservation_affinity_type": "SPECIFIC_RESERVATION",
            "key": _RESERVATION_KEY,
            "values": [options.reservation],
        }
    return machine


def _scheduling(job: Job, options: Options) -> vertex.Scheduling:
    name = _STANDARD if options.provisioning == ON_DEMAND else options.provisioning.upper()
    scheduling = vertex.Scheduling(
        timeout=timedelta(hours=options.max_run_hours),
        strategy=vertex.Scheduling.Strategy[name],
        # When one of several workers is lost the others stop too, and a restarted worker can't join
        # a running job: all of them start again together, from the last checkpoint. Workers that
        # prepare reviews don't depend on each other.
        restart_job_on_worker_restart=options.workers > 1 and job.mode != PREPARE,
        disable_retries=False,  # starting again after a machine was taken away is a retry
    )
    if options.provisioning == FLEX_START:  # wait in the queue at most as long as the job may run
        scheduling.max_wait_duration = timedelta(hours=options.max_run_hours)
    return scheduling
