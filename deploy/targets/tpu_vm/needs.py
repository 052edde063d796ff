"""What a job on a TPU VM needs before it starts, as lines with the commands that create or show it.

    lines = needs(job, options)

By Google's documentation, not tried.
"""

import shlex

from deploy import prerequisites
from deploy.job import Job, bucket_of
from deploy.targets.tpu_vm import wheels
from deploy.targets.tpu_vm.options import Options

_APIS = ("tpu.googleapis.com", "cloudquotas.googleapis.com")  # the latter to show quotas


def needs(job: Job, options: Options) -> list[str]:
    """Returns the lines, those of the project first."""
    project, region = options.project, options.zone.rpartition("-")[0]
    submitter = prerequisites.project_roles(project, prerequisites.USER, "roles/tpu.admin")
    return [
        *prerequisites.credentials_and_apis(project, *_APIS),
        f"your account's role: {submitter}",
        *_quota(options),
        prerequisites.bucket(job, project, region),
        *_account(job, options),
        *_network(options, region),
        *_wheels(job, options),
        *prerequisites.reviews(job),
    ]


def _quota(options: Options) -> list[str]:
    """Returns the line for the quota; a reservation has been granted already.

    Its page names those for serving for TPUs of up to 8 chips; public reports show the other ones.
    """
    if options.reservation:
        return []
    tier = "Preemptible" if options.provisioning == "spot" else ""
    limits = [f"TPUV5s{tier}Litepod{kind}PerProjectPerZoneForTPUAPI" for kind in ("", "Serving")]
    show = ["gcloud", "beta", "quotas", "info", "list", f"--project={options.project}"]
    show += ["--service=tpu.googleapis.com", f"--filter=quotaId~TPUV5s{tier}Litepod"]
    other = f", or, for up to 8 chips, of {limits[1]}" if options.chips <= 8 else ""
    return [f"quota of {options.chips} {limits[0]}{other} in {options.zone}: {shlex.join(show)}"]


def _account(job: Job, options: Options) -> list[str]:
    """Returns the lines for the account that the job runs as."""
    project, given = options.project, options.service_account
    account = given or "the project's default service account"
    roles = ("roles/tpu.admin", "roles/storage.objectUser")
    default = f"{prerequisites.project_number(project)}-compute@developer.gserviceaccount.com"
    return [
        f"{account} with roles/tpu.admin, since the job deletes its machine, and access to the "
        f"bucket: {prerequisites.grants(project, given, *roles)}",
        *(
            [f"your right to let jobs run as {given}: {prerequisites.act_as(given)}"]
            if given
            else []
        ),
        *prerequisites.other_buckets(job, prerequisites.service_account(given or default)),
    ]


def _network(options: Options, region: str) -> list[str]:
    lines = []
    if options.is_slice_of_several:
        network = options.network.rpartition("/")[2] or "default"
        listed = ["gcloud", "compute", "firewall-rules", "list", f"--project={options.project}"]
        listed.append(f"--filter=network:{network}")
        rule = prerequisites.slice_network_rule("a firewall", "the machines of the slice")
        lines.append(f"{rule}: {shlex.join(listed)}")
    if not options.external_ips:
        subnetwork = options.subnetwork.rpartition("/")[2] or "default"
        access = ["gcloud", "compute", "networks", "subnets", "update", subnetwork]
        access += [f"--region={region}", f"--project={options.project}"]
        access.append("--enable-private-ip-google-access")
        lines.append(f"Private Google Access, without external addresses: {shlex.join(access)}")
        if not options.wheels:
            lines.append("Cloud NAT, for PyPI without external addresses; or --wheels")
    return lines


def _wheels(job: Job, options: Options) -> list[str]:
    if not options.wheels:
        return []
    lines = [f"the packages' wheels: {wheels.fill_command(options.wheels)}"]
    if bucket_of(options.wheels) != job.bucket:
        lines.append(f"the job's account may read {bucket_of(options.wheels)} too")
    return lines
