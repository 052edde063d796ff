"""The shell command that makes the same queued resource with gcloud.

print(gcloud_command(job, options))
"""

import shlex

from deploy.google_api import SCOPE
from deploy.job import Job
from deploy.targets.tpu_vm.options import Options
from deploy.targets.tpu_vm.request import WORKDIR, labels
from deploy.targets.tpu_vm.startup_script import startup_script


def gcloud_command(job: Job, options: Options) -> str:
    """Returns a shell command that writes the start-up script to a file and calls gcloud."""
    script = f"{job.name}-startup.sh"
    optional = {
        "--reservation": options.reservation_name,
        "--network": options.network,
        "--subnetwork": options.subnetwork,
        "--service-account": options.service_account,
        "--scopes": options.service_account and SCOPE,
    }
    # Without alpha, gcloud takes any reservation of the project.
    alpha = ["alpha"] if options.reservation else []
    create = [
        *("gcloud", *alpha, "compute", "tpus", "queued-resources", "create", job.name),
        f"--node-id={job.name}",
        f"--project={options.project}",
        f"--zone={options.zone}",
        f"--accelerator-type={options.accelerator_type}",
        f"--runtime-version={options.runtime_version}",
        *(f"{flag}={value}" for flag, value in optional.items() if value),
        *(["--spot"] if options.provisioning == "spot" else []),
        *([] if options.external_ips else ["--internal-ips"]),
        f"--labels={','.join(f'{key}={value}' for key, value in labels(job).items())}",
        f"--metadata={WORKDIR}={job.workdir}",
        f"--metadata-from-file=startup-script={script}",
    ]
    write = shlex.join(["printf", "%s", startup_script(job, options)])
    return f"{write} > {script} && {shlex.join(create)}"
