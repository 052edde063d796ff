"""Google Kubernetes Engine as a target: each job is a JobSet for kubectl. Not run on hardware.

    plan = TARGET.prepare(submission, Options(workers=3, spot=True, queue="lstm"))
    plan.submit(wait=False)         # prints the manifest for `kubectl apply -f -`

This target talks to no cluster: for each verb it prints the command of kubectl that does it.
"""

import shlex
from typing import Any

from deploy import prerequisites
from deploy.google_project import project_from_environment
from deploy.job import Job, check_name
from deploy.jobs import JobPlan, JobTarget, say
from deploy.targets.gke import yaml_text
from deploy.targets.gke.image import image_prerequisites
from deploy.targets.gke.manifest import devices, job_set
from deploy.targets.gke.options import Options
from deploy.targets.target import Target
from storage.exit_codes import DONE

_RELEASE = "kubectl apply --server-side -f https://github.com/kubernetes-sigs/{}/releases/latest"


class GkeTarget(JobTarget):
    """The target's interface; its longer parts are in the modules beside this one."""

    name = "gke"
    can_wait = False
    located_by = ("namespace",)

    def request(self, job: Job, options: Options) -> dict[str, Any]:
        """Returns the JobSet."""
        return job_set(job, options)

    def render(self, request: dict[str, Any]) -> str:
        """Returns the JobSet as YAML."""
        return yaml_text.dump(request)

    def equivalent(self, job: Job, options: Options) -> str:
        """Returns the command of kubectl that takes the manifest."""
        return "kubectl apply -f -  # with the manifest above as its input"

    def prerequisites(self, job: Job, options: Options) -> list[str]:
        """Returns what a job needs before it starts, a line each, with the command for it."""
        project = _project(options)
        apis = ("container.googleapis.com", "artifactregistry.googleapis.com")
        lines = [
            *prerequisites.credentials_and_apis(project, *apis),
            _cluster(options),
            f"JobSet v0.10.0 or later in it: {_RELEASE.format('jobset')}/download/manifests.yaml",
            *image_prerequisites(options),
            prerequisites.bucket(job, project, options.region),
            _bucket_access(job, options),
        ]
        if options.queue:
            queue = ["kubectl", "get", f"localqueue/{options.queue}", _namespace(options)]
            lines.append(
                f"Kueue: {_RELEASE.format('kueue')}/download/manifests.yaml; and in it the queue, "
                f"which this shows: {shlex.join(queue)}"
            )
        if options.is_slice_of_several:
            rule = prerequisites.slice_network_rule("a NetworkPolicy", "the pods of the job")
            lines.append(f"{rule}: kubectl get networkpolicy {_namespace(options)}")
        return [*lines, *prerequisites.reviews(job)]

    def submit(self, plan: JobPlan, wait: bool) -> int:
        """Uploads the archive and prints the manifest, which kubectl submits."""
        plan.upload()
        print(self.render(plan.request), end="")
        say("Hand this to `kubectl apply -f -`. Then:", *plan.follow_commands())
        return DONE

    def follow(self, verb: str, name: str, options: Options, workdir: str | None) -> int:
        """Prints the command of kubectl for a verb."""
        print(kubectl_command(verb, name, options))
        return DONE


def kubectl_command(verb: str, job_name: str, options: Options) -> str:
    """Returns the command of kubectl that does what `verb` says with a job.

    Raises UserError for a name that no job can have.
    """
    check_name(job_name)
    resource, label = f"jobset/{job_name}", f"jobset.sigs.k8s.io/jobset-name={job_name}"
    commands = {
        "status": ["get", resource],
        # The state is Completed or Failed; a negative timeout is a week.
        "wait": ["wait", resource, "--for=jsonpath={.status.terminalState}", "--timeout=-1s"],
        "logs": ["logs", f"--selector={label}", "--prefix", "--tail=-1"],
        "cancel": ["delete", resource],
    }
    return shlex.join(["kubectl", *commands[verb], _namespace(options)])


def _project(options: Options) -> str:
    """Returns the project's ID, or a placeholder: with --image no project needs to be known."""
    return project_from_environment(options.project) or "PROJECT"


def _cluster(options: Options) -> str:
    get = ["gcloud", "container", "clusters", "get-credentials", "CLUSTER"]
    get += [f"--region={options.region}", f"--project={_project(options)}"]
    _, labels = devices(options)
    nodes = ", ".join(f"{key}={value}" for key, value in labels.items())
    oldest = "1.31" if options.is_slice_of_several else "1.28"  # successPolicy needs 1.31
    return (
        f"a cluster of Kubernetes {oldest} or later with a node pool"
        f"{f' of {nodes}' if nodes else ''}, and kubectl connected to it: {shlex.join(get)}"
    )


def _bucket_access(job: Job, options: Options) -> str:
    project = _project(options)
    account = f"ns/{options.namespace}/sa/{options.service_account}"
    grant = ["gcloud", "storage", "buckets", "add-iam-policy-binding", job.bucket]
    grant += ["--role=roles/storage.objectUser"]
    number = prerequisites.project_number(project)
    return (
        f"access of the pods to the bucket, by workload identity: {shlex.join(grant)} "
        f'--member="principal://iam.googleapis.com/projects/{number}/locations/'
        f'global/workloadIdentityPools/{project}.svc.id.goog/subject/{account}"'
    )


def _namespace(options: Options) -> str:
    return f"--namespace={options.namespace}"


TARGET: Target = GkeTarget()
