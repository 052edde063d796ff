"""Vertex AI as a target: each job is a CustomJob.

    plan = TARGET.prepare(submission, Options(region="us-central1", provisioning="spot"))
    exit_code = plan.submit(wait=True)

The service restarts a worker that ends with an exit code other than 0 up to 5 times, and then the
whole job up to 3 times. So exit code 1, for a mistake that no restart corrects, still costs all of
these restarts; and exit code 75, which asks for a restart, gets no more than these.
"""

from google.auth.credentials import AnonymousCredentials
from google.cloud.aiplatform_v1 import CreateCustomJobRequest, JobServiceClient
from google.cloud.aiplatform_v1.services.job_service.transports import JobServiceGrpcTransport
from grpc import Channel

from deploy import google_api, prerequisites
from deploy.job import Job
from deploy.remote import ServiceTarget
from deploy.targets.target import Target
from deploy.targets.vertex.gcloud_command import gcloud_command
from deploy.targets.vertex.options import Options
from deploy.targets.vertex.request import make_request, render_request
from deploy.targets.vertex.service import LOGGING, VertexService


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
        project = options.project
        apis = ("aiplatform.googleapis.com", "artifactregistry.googleapis.com")
        lines = prerequisites.credentials_and_apis(project, *apis)
        if options.accelerator:
            lines.append(
                f"quota for {options.accelerators * options.workers} {options.accelerator} of "
                f"custom training in {options.region}, {options.provisioning}: ask for it on the "
                "console's page IAM & Admin > Quotas"
            )
        lines.append(prerequisites.bucket(job, project, options.region))
        if account := options.service_account:
            roles = ("roles/storage.objectUser", "roles/aiplatform.user")
            grants = prerequisites.grants(project, account, *roles)
            lines.append(f"{account} with its roles: {grants}")
        return [*lines, *prerequisites.image(options.image), *prerequisites.reviews(job)]

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
