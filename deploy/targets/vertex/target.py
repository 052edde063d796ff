"""Jobs on Vertex AI: CustomJobs, of one machine or several.

    options = Options(region="us-central1", provisioning="spot")
    name = connect(options).submit(job, request(job, options))

A target as deploy/job.py describes it. The service starts a worker that ends with another code than
0 again, up to 5 times, and then the whole job, up to 3 times. So code 1, a mistake that no restart
mends, costs all of them, and code 75, which asks for one, has as many and no more.
"""

import dataclasses
import json
import shlex
from datetime import timedelta

from google.auth.credentials import AnonymousCredentials
from google.cloud.aiplatform_v1 import JobServiceClient
from google.cloud.aiplatform_v1 import types as vertex
from google.cloud.aiplatform_v1.services.job_service.transports import JobServiceGrpcTransport
from google.protobuf import json_format
from grpc import Channel

from deploy import compatibility, google_api
from deploy import prerequisites as common
from deploy.checks import REGION, between, fill, matching, refused
from deploy.job import Job
from deploy.targets.vertex import machine_types
from deploy.targets.vertex.service import LOGGING, Vertex
from storage.errors import UserError

NEEDS = ("region",)
_PROVISIONING = ("standard", "spot", "flex_start")
_ACCELERATORS = tuple(n for n in vertex.AcceleratorType.__members__ if n.startswith("NVIDIA_"))
# Those that Dynamic Workload Scheduler, which is behind flex_start, queues for.
_FLEX_START = ("L4", "TESLA_A100", "A100_80GB", "H100_80GB", "H100_MEGA_80GB", "H200_141GB", "B200")
_UPLOADED = "logs"  # the folder in base_output_directory: see CustomJobSpec's documentation
_IMAGE = (
    r"[a-z0-9][a-z0-9.-]{0,99}(?::[0-9]{1,5})?(?:/[a-z0-9][a-z0-9._-]{0,99})+"
    r"(?::[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?(?:@sha256:[0-9a-f]{64})?"
)


@dataclasses.dataclass(frozen=True)
class Options:
    """The flags of this target; those left empty are filled in.

    Raises UserError on one that can't be.
    """

    region: str
    project: str = ""  # see deploy.rpc.project
    image: str = ""  # by default of the project's own registry
    machine: str = ""  # by default one that has the GPUs
    accelerator: str = "NVIDIA_L4"  # '' is none
    accelerators: int = 1  # of each machine
    workers: int = 1  # machines
    provisioning: str = "standard"
    max_run_hours: int = 24
    network: str = ""
    service_account: str = ""
    tensorboard: str = ""
    boot_disk_gb: int = 100

    def __post_init__(self):
        matching("region", self.region, REGION, "one like us-central1")
        fill(self, "project", google_api.project(self.project))
        self._check_machines()
        self._check_time()
        self._check_names()

    def _check_machines(self) -> None:
        if self.accelerator and self.accelerator not in _ACCELERATORS:
            raise refused("accelerator", self.accelerator, f"'' or {', '.join(_ACCELERATORS)}")
        if self.accelerator:
            between("accelerators", self.accelerators, 1, 16)
        else:
            between("accelerators", self.accelerators, 0, 1, "when there is no --accelerator")
            fill(self, "accelerators", 0)
        if not self.machine:
            fill(self, "machine", machine_types.usual(self.accelerator, self.accelerators))
        matching(
            "machine", self.machine, r"[a-z][a-z0-9-]{2,58}[a-z0-9]", "one like g2-standard-12"
        )
        machine_types.check(self.machine, self.accelerator, self.accelerators)
        between("workers", self.workers, 1, 100)
        between("boot_disk_gb", self.boot_disk_gb, 100, 64_000)

    def _check_time(self) -> None:
        if self.provisioning not in _PROVISIONING:
            raise refused("provisioning", self.provisioning, ", ".join(_PROVISIONING))
        flexible = self.provisioning == "flex_start"
        between("max_run_hours", self.max_run_hours, 1, 168 if flexible else 720, "hours")
        if flexible and self.accelerator.removeprefix("NVIDIA_") not in _FLEX_START:
            accepted = ", ".join(f"NVIDIA_{name}" for name in _FLEX_START)
            raise refused("accelerator", self.accelerator, f"with flex_start {accepted}")

    def _check_names(self) -> None:
        if not self.image:
            registry = f"{self.region}-docker.pkg.dev/{self.project}"
            fill(self, "image", f"{registry}/longhaul/longhaul:tf2.21")
        accepted = "HOST/PATH, with :TAG or @sha256:DIGEST, such as the dry run shows by default"
        matching("image", self.image, _IMAGE, accepted)
        if self.network:
            pattern = r"projects/[0-9]{1,20}/global/networks/[a-z][a-z0-9-]{0,62}"
            matching("network", self.network, pattern, "projects/NUMBER/global/networks/NAME")
        if self.service_account:
            pattern = r"[a-z0-9-]{1,63}@[a-z0-9.-]{1,200}\.gserviceaccount\.com"
            matching(
                "service_account", self.service_account, pattern, "an account's e-mail address"
            )
        if self.tensorboard:
            pattern = (
                rf"projects/[a-z0-9-]{{1,63}}/locations/{self.region}/tensorboards/[0-9]{{1,30}}"
            )
            accepted = f"projects/PROJECT/locations/{self.region}/tensorboards/NUMBER"
            matching("tensorboard", self.tensorboard, pattern, accepted)
            if not self.service_account:
                raise UserError(
                    "--service_account: missing; --tensorboard needs one that may write"
                )


def request(job: Job, options: Options) -> vertex.CreateCustomJobRequest:
    """The job as the service takes it; UserError when the config doesn't fit the machines."""
    compatibility.on_gpus(job, options.workers, options.accelerators)
    if options.tensorboard:
        shown = f"--config.train.tensorboard_dir={_UPLOADED}"
        job = dataclasses.replace(job, arguments=(*job.arguments, shown))
    workers = [_workers(job, options, 1)]
    if options.workers > 1:
        workers.append(_workers(job, options, options.workers - 1))
    spec = vertex.CustomJobSpec(
        worker_pool_specs=workers,  # the first is the chief, and TF_CONFIG calls it so
        scheduling=_scheduling(options),
        service_account=options.service_account,
        network=options.network,
        tensorboard=options.tensorboard,
        # From this the service makes AIP_CHECKPOINT_DIR, where the checkpoints are anyway, and
        # AIP_TENSORBOARD_LOG_DIR, which it uploads to TensorBoard: this run's, not those of all.
        base_output_directory={"output_uri_prefix": job.workdir},
    )
    check_tasks(spec)
    return vertex.CreateCustomJobRequest(
        parent=_parent(options),
        custom_job=vertex.CustomJob(
            display_name=job.name,
            labels={"app": "longhaul", "longhaul-digest": job.digest[:16]},
            job_spec=spec,
        ),
    )


def render(request: vertex.CreateCustomJobRequest) -> str:
    """The request as the service's REST interface has it."""
    return json.dumps(_rest(request), indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def equivalent(job: Job, options: Options) -> str:
    """A command for a shell that submits the same with gcloud."""
    custom_job = request(job, options).custom_job
    spec = json.dumps(_rest(custom_job.job_spec), sort_keys=True, ensure_ascii=False)
    labels = ",".join(f"{key}={value}" for key, value in sorted(custom_job.labels.items()))
    gcloud = ["gcloud", "ai", "custom-jobs", "create", f"--region={options.region}"]
    gcloud += [f"--project={options.project}", f"--display-name={job.name}", f"--labels={labels}"]
    return f"{shlex.join(['printf', '%s', spec])} | {shlex.join([*gcloud, '--config=/dev/stdin'])}"


def prerequisites(job: Job, options: Options) -> list[str]:
    """What has to be there before, each with the command that makes it."""
    needed = common.start(
        options.project, "aiplatform.googleapis.com", "artifactregistry.googleapis.com"
    )
    if options.accelerator:
        needed.append(
            f"quota for {options.accelerators * options.workers} {options.accelerator} of custom "
            f"training in {options.region}, {options.provisioning}: ask for it on the console's "
            "page IAM & Admin > Quotas"
        )
    needed.append(common.bucket(job, options.project, options.region))
    if options.service_account:
        roles = ("roles/storage.objectUser", "roles/aiplatform.user")
        granted = common.granted(options.project, options.service_account, *roles)
        needed.append(f"{options.service_account} with its roles: {granted}")
    return [*needed, *common.image(options.image), *common.reviews(job)]


def connect(
    options: Options,
    workdir: str | None = None,
    channel: Channel | None = None,
    logging: str = LOGGING,
    **settings: float,
) -> Vertex:
    """The service; `channel` and `logging` lead to another one, without credentials.

    The workdir is not needed: this service remembers its jobs. Raises UserError when there are no
    credentials.
    """
    if channel:
        client = JobServiceClient(transport=JobServiceGrpcTransport(channel=channel))
        credentials = AnonymousCredentials()
    else:
        credentials = google_api.credentials()
        endpoint = {"api_endpoint": f"{options.region}-aiplatform.googleapis.com"}
        client = JobServiceClient(credentials=credentials, client_options=endpoint)
    return Vertex(_parent(options), client, credentials, logging, **settings)


def check_tasks(spec: vertex.CustomJobSpec) -> None:
    """ValueError unless every pool runs a container.

    Of the fields of a oneof the one that is set last stays, and nothing says so.
    """
    for index, pool in enumerate(spec.worker_pool_specs):
        task = type(pool).pb(pool).WhichOneof("task")
        if task != "container_spec":
            raise ValueError(f"worker_pool_specs[{index}]: task is {task}, wanted container_spec")


def _workers(job: Job, options: Options, count: int) -> vertex.WorkerPoolSpec:
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
        # When one of several is lost the others leave as well, and none can join a job that runs:
        # they begin again together, from the last checkpoint.
        restart_job_on_worker_restart=options.workers > 1,
        disable_retries=False,  # a machine that is taken away is a retry
    )
    if options.provisioning == "flex_start":  # in the queue no longer than at work
        scheduling.max_wait_duration = timedelta(hours=options.max_run_hours)
    return scheduling


def _rest(message) -> dict:
    return json_format.MessageToDict(type(message).pb(message))


def _parent(options: Options) -> str:
    return f"projects/{options.project}/locations/{options.region}"
