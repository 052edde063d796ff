"""Google Kubernetes Engine as a target: each job is a JobSet. Not run on hardware.

    (options,) = make_options("gke", {"workers": 3, "apply": True})
    plan = TARGET.prepare(submission, [options])
    plan.submit(None)               # kubectl creates the JobSet

Without --apply it prints the manifest. Without --context it prints, for each verb, the command of
kubectl that does it.
"""

import math
import shlex
import time
from collections.abc import Callable, Mapping
from datetime import timezone
from typing import Any

from deploy.job import Job, check_name
from deploy.jobs import JobPlan
from deploy.messages import say
from deploy.service_target import ServiceTarget
from deploy.targets.gke import yaml_text
from deploy.targets.gke.cluster import LABEL, Cluster
from deploy.targets.gke.kubectl import JOB_SETS, Kubectl
from deploy.targets.gke.manifest import job_set
from deploy.targets.gke.needs import needs
from deploy.targets.gke.options import TPU, Options
from deploy.targets.target import Following, Listed, Target, Waiting
from storage.exit_codes import DONE, FAILED


class GkeTarget(ServiceTarget):
    """The target's interface; its longer parts are in the modules beside this one."""

    name = "gke"
    located_by = ("context", "namespace")

    def can_wait(self, options: Options) -> bool:
        """Returns True when kubectl submits the job."""
        return options.apply

    def request(self, job: Job, options: Options) -> dict[str, Any]:
        """Returns the JobSet."""
        return job_set(job, options)

    def render(self, request: dict[str, Any]) -> str:
        """Returns the JobSet as YAML."""
        return yaml_text.dump(request)

    def equivalent(self, job: Job, options: Options) -> str:
        """Returns the command of kubectl that takes the manifest."""
        return f"{_kubectl(options, 'create', '-f', '-')}  # with the manifest above as its input"

    def prerequisites(self, job: Job, options: Options) -> list[str]:
        """Returns what a job needs before it starts, a line each, with the command for it."""
        return needs(job, options)

    def machines(self, options: Options) -> tuple[str, int]:
        """Returns the accelerators in GKE's words, or the cores, of all pods together.

        The machines themselves are the node pool's choice, and not known here.
        """
        if options.tpu_topology:
            return TPU, options.chips
        if options.accelerator:
            return options.accelerator, options.workers * options.gpus
        thousandths = options.cpu.endswith("m")
        cores = int(options.cpu.removesuffix("m")) / (1000 if thousandths else 1)
        return "gke-cpu", math.ceil(options.workers * cores)

    def connect(self, options: Options, workdir: str | None = None) -> Cluster:
        """Returns the cluster of --context. The workdir is not used."""
        return Cluster(Kubectl(options.context, options.namespace))

    def submit(
        self,
        plan: JobPlan,
        waiting: Waiting | None,
        pause: Callable[[float], None] = time.sleep,
    ) -> int:
        """Uploads the archive, and with --apply submits the job; otherwise prints the manifest."""
        attempt = plan.attempts[0]
        options: Options = attempt.options
        if options.apply:
            say(f"--context={options.context}, --namespace={options.namespace}")
            return super().submit(plan, waiting, pause)
        plan.upload()
        print(self.render(attempt.request), end="")
        create = _kubectl(options, "create", "-f", "-")
        say(f"Hand this to `{create}`, or give --apply. Then:", *plan.follow_commands(attempt))
        return DONE

    def follow(self, following: Following, options: Options) -> int:
        """Does what the verb says with a job; without --context prints the command that does it.

        That is exit code 1, since nothing is done.
        """
        if options.context:
            return super().follow(following, options)
        print(kubectl_command(following, options))
        say(f"{following.verb}: not done; run this command, or give --context")
        return FAILED

    def jobs(self, options: Options, known: Mapping[str, str]) -> list[Listed]:
        """Returns the jobs of the cluster; without --context says which command lists them."""
        if options.context:
            return super().jobs(options, known)
        command = _kubectl(options, "get", JOB_SETS, f"--selector={LABEL}")
        say(f"gke: no --context, so these jobs are not listed; this lists them: {command}")
        return []


def kubectl_command(following: Following, options: Options) -> str:
    """Returns the command of kubectl that does what the verb says with a job.

    Raises UserError for a name that no job can have.
    """
    check_name(following.name)
    resource = f"jobset/{following.name}"
    commands = {
        "status": ["get", resource],
        # The state is Completed or Failed; a negative timeout is a week.
        "wait": ["wait", resource, "--for=jsonpath={.status.terminalState}", "--timeout=-1s"],
        "logs": _logs(following),
        "cancel": ["delete", resource],
        "delete": ["delete", resource],
    }
    return _kubectl(options, *commands[following.verb])


def _logs(following: Following) -> list[str]:
    label = f"jobset.sigs.k8s.io/jobset-name={following.name}"
    options = ["--prefix", "--tail=-1"]
    if following.since:
        options.append(f"--since-time={following.since.astimezone(timezone.utc).isoformat()}")
    if following.follow:
        # Of as many pods at once as a job can have.
        options += ["--follow", "--max-log-requests=256"]
    return ["logs", f"--selector={label}", *options]


def _kubectl(options: Options, *arguments: str) -> str:
    context = [f"--context={options.context}"] if options.context else []
    return shlex.join(["kubectl", *context, f"--namespace={options.namespace}", *arguments])


TARGET: Target = GkeTarget()
