"""Vertex AI as a target: each job is a CustomJob.

    plan = TARGET.prepare(submission, [Options(region="us-central1", provisioning="spot")])
    exit_code = plan.submit(Waiting())

By the service's documentation, not tried: a job whose spot machines are taken away is started again
up to six times; a worker that leaves with an exit code such as 134 up to five times, and then the
whole job up to three times; any other exit code than 0 ends the job. So each worker runs within
deploy/payload/vertex_worker.py, which leaves with 134 where the trainer asks to be run again. When
the restarts are used up, the trainer's own exit code in the workdir, as logs/NAME.exit, says that
the job can be submitted again.
"""

from google.auth.credentials import AnonymousCredentials
from google.cloud.aiplatform_v1 import CreateCustomJobRequest, JobServiceClient
from google.cloud.aiplatform_v1.services.job_service.transports import JobServiceGrpcTransport
from grpc import Channel

from deploy import google_api
from deploy.job import Job
from deploy.service_target import ServiceTarget
from deploy.targets.target import Target
from deploy.targets.vertex.gcloud_command import gcloud_command
from deploy.targets.vertex.log_reader import LOGGING
from deploy.targets.vertex.needs import needs
from deploy.targets.vertex.options import Options
from deploy.targets.vertex.request import make_request, render_request
from deploy.targets.vertex.service import VertexService


class VertexTarget(ServiceTarget):
    """The target's interface; its longer parts are in the modules beside this one."""

    name = "vertex"
    located_by = ("region", "project")

    def request(self, job: Job, options: Options) -> CreateCustomJobRequest:
        """Returns the request for a job, with all machines in it."""
        return make_request(job, options)

    def render(self, request: CreateCustomJobRequest) -> str:
        """Returns a request as JSON."""
        return render_request(request)

    def equivalent(self, job: Job, options: Options) -> str:
        """Returns the command of gcloud that makes the same CustomJob."""
        return gcloud_command(job, options)

    def prerequisites(self, job: Job, options: Options) -> list[str]:
        """Returns what a job needs before it starts, a line each, with the command for it."""
        return needs(job, options)

    def machines(self, options: Options) -> tuple[str, int]:
        """Returns the machine type, and how many machines."""
        return options.machine, options.workers

    def connect(
        self,
        options: Options,
        workdir: str | None = None,
        channel: Channel | None = None,
        logging: str = LOGGING,
        retry_seconds: float = google_api.RETRY_SECONDS,
    ) -> VertexService:
        """Connects to the service. Raises UserError without credentials.

        The workdir is not used, since this service keeps a record of ended jobs. `channel` and
        `logging`, a URL, lead to other servers than Google's; a channel needs no credentials.
        """
        if channel:
            client = JobServiceClient(transport=JobServiceGrpcTransport(channel=channel))
            credentials = AnonymousCredentials()
        else:
            credentials = google_api.credentials()
            endpoint = {"api_endpoint": f"{options.region}-aiplatform.googleapis.com"}
            client = JobServiceClient(credentials=credentials, client_options=endpoint)
        return VertexService(options.parent, client, credentials, logging, retry_seconds)


TARGET: Target = VertexTarget()
