"""Cloud TPU as a target: each job is a queued resource. Not run on hardware.

    plan = TARGET.prepare(submission, [Options(zone="us-west4-a", provisioning="spot")])
    exit_code = plan.submit(Waiting())

The machine boots with deploy/payload/tpu_startup.sh, which deletes it when the job is over. So the
service keeps no record of how a job ended: its exit code is in the workdir, as logs/NAME.exit.

The TPU is a v5e: one machine with up to eight chips, or a slice of several machines. In a slice
every machine runs TensorFlow's server for its chips, and the first machine also runs the job.
"""

from google.cloud import tpu_v2
from google.cloud.tpu_v2.services.tpu.transports import TpuGrpcTransport
from grpc import Channel

from deploy import google_api
from deploy.job import Job
from deploy.service_target import ServiceTarget
from deploy.targets.target import Target
from deploy.targets.tpu_vm.gcloud_command import gcloud_command
from deploy.targets.tpu_vm.needs import needs
from deploy.targets.tpu_vm.options import Options
from deploy.targets.tpu_vm.request import make_request, render_request
from deploy.targets.tpu_vm.service import TpuService


class TpuVmTarget(ServiceTarget):
    """The target's interface; its longer parts are in the modules beside this one."""

    name = "tpu_vm"
    located_by = ("zone", "project", "workdir")

    def request(self, job: Job, options: Options) -> tpu_v2.CreateQueuedResourceRequest:
        """Returns the request for a job."""
        return make_request(job, options)

    def render(self, request: tpu_v2.CreateQueuedResourceRequest) -> str:
        """Returns a request as JSON."""
        return render_request(request)

    def machines(self, options: Options) -> tuple[str, int]:
        """Returns the TPU, which has one price for all its machines."""
        return options.accelerator_type, 1

    def equivalent(self, job: Job, options: Options) -> str:
        """Returns the command of gcloud that makes the same queued resource."""
        return gcloud_command(job, options)

    def prerequisites(self, job: Job, options: Options) -> list[str]:
        """Returns what a job needs before it starts, a line each, with the command for it."""
        return needs(job, options)

    def connect(
        self,
        options: Options,
        workdir: str | None = None,
        channel: Channel | None = None,
        retry_seconds: float = google_api.RETRY_SECONDS,
    ) -> TpuService:
        """Connects to the service. Raises UserError without credentials.

        The workdir is that of the jobs. It is needed to follow a job whose machine is deleted,
        unless this connection has seen the machine. A channel leads to another server than Google's
        and needs no credentials.
        """
        if channel:
            client = tpu_v2.TpuClient(transport=TpuGrpcTransport(channel=channel))
        else:
            client = tpu_v2.TpuClient(credentials=google_api.credentials())
        return TpuService(client, options.parent, workdir, retry_seconds)


TARGET: Target = TpuVmTarget()
