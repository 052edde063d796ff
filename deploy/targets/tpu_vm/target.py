"""Runs a job on Cloud TPU, as a queued resource. See `deploy.job` for the interface.

    options = Options(zone="us-west4-a", spot=True)
    message = request(job, options)
    remote = connect(options)
    remote.submit(job, message)

The machine starts with deploy/payload/tpu_startup.sh, which deletes it when the job is over. So
the end of a job is no state of the service: its exit code lies in the workdir, as logs/NAME.exit.

A TPU v5e: one machine with up to eight chips, or a slice of several, of which all run TensorFlow's
server for their chips and the first runs the job. Not run on hardware.
"""

import dataclasses
import json
import shlex
from pathlib import Path

from google.cloud import tpu_v2
from google.cloud.tpu_v2.services.tpu.transports import TpuGrpcTransport
from grpc import Channel

from configs.schema import rules
from deploy import compatibility, google_api
from deploy import prerequisites as common
from deploy.checks import REGION, between, fill, matching, refused
from deploy.job import Job
from deploy.targets.tpu_vm.service import WORKDIR, TpuVm
from storage.errors import UserError

NEEDS = ("zone",)
PAYLOAD = Path(__file__).parents[2] / "payload"
STARTUP = PAYLOAD / "tpu_startup.sh"
_REQUIREMENTS = PAYLOAD / "tpu_requirements.txt"
_LONGEST_METADATA = 256 << 10  # bytes of one value, by the metadata server

_CHIPS = (1, 4, 8, 16, 32, 64, 128, 256)  # cloud.google.com/tpu/docs/v5e
_ONE_MACHINE = 8  # chips at most
_TYPES = {f"v5litepod-{chips}": chips for chips in _CHIPS}

_ZONE = rf"{REGION}-[a-z]"
_NETWORK = r"[a-z][a-z0-9-]{0,62}|projects/[a-z0-9.:-]{1,100}/global/networks/[a-z][a-z0-9-]{0,62}"
_ACCOUNT = r"[a-z0-9-]{1,63}@[a-z0-9.-]{1,200}"


@dataclasses.dataclass(frozen=True)
class Options:
    """The flags of this target; UserError names the first that is not accepted."""

    zone: str
    project: str = ""  # see deploy.rpc.project
    accelerator_type: str = "v5litepod-4"
    runtime_version: str = "v2-alpha-tpuv5-lite"
    spot: bool = False
    network: str = ""  # '' is the project's default
    service_account: str = ""  # '' is the project's default
    max_run_hours: int = 24  # from a machine's first boot

    def __post_init__(self):
        matching("zone", self.zone, _ZONE, "a zone with TPUs, such as us-west4-a")
        fill(self, "project", google_api.project(self.project))
        if self.accelerator_type not in _TYPES:
            raise refused("accelerator_type", self.accelerator_type, ", ".join(_TYPES))
        matching(
            "runtime_version", self.runtime_version, r"[a-z0-9](?:[a-z0-9.-]{0,60}[a-z0-9])?",
            "an image for the TPU, such as v2-alpha-tpuv5-lite",
        )  # fmt: skip
        matching(
            "network", self.network, f"(?:{_NETWORK})?",
            "a network's name, or projects/PROJECT/global/networks/NAME",
        )  # fmt: skip
        matching(
            "service_account", self.service_account, f"(?:{_ACCOUNT})?",
            "an address such as NAME@PROJECT.iam.gserviceaccount.com",
        )  # fmt: skip
        between("max_run_hours", self.max_run_hours, 1, 24 * 365, "hours")

    @property
    def chips(self) -> int:
        """Of the whole TPU, and so are the replicas."""
        return _TYPES[self.accelerator_type]

    @property
    def is_slice_of_several(self) -> bool:
        """Whether the TPU has several machines."""
        return self.chips > _ONE_MACHINE


def request(job: Job, options: Options) -> tpu_v2.CreateQueuedResourceRequest:
    """What makes the queued resource; UserError when the job doesn't fit a TPU."""
    _check_fits(job, options)
    script = startup_script(job, options)
    if len(script.encode()) > _LONGEST_METADATA:
        raise UserError(
            f"--config: the job's arguments make a start-up script of {len(script.encode()):,} "
            f"bytes, accepted are {_LONGEST_METADATA:,}; give fewer or shorter ones"
        )
    parent = _parent(options)
    node = tpu_v2.Node(
        accelerator_type=options.accelerator_type,
        runtime_version=options.runtime_version,
        # It installs from PyPI, so it needs an address of its own.
        network_config=tpu_v2.NetworkConfig(network=options.network, enable_external_ips=True),
        labels=_labels(job),
        metadata={"startup-script": script, WORKDIR: job.workdir},
    )
    if options.service_account:
        node.service_account = tpu_v2.ServiceAccount(
            email=options.service_account, scope=[google_api.SCOPE]
        )
    spec = tpu_v2.QueuedResource.Tpu.NodeSpec(parent=parent, node_id=job.name, node=node)
    resource = tpu_v2.QueuedResource(tpu=tpu_v2.QueuedResource.Tpu(node_spec=[spec]))
    if options.spot:
        resource.spot = tpu_v2.QueuedResource.Spot()
    _check_oneofs(resource, options)
    return tpu_v2.CreateQueuedResourceRequest(
        parent=parent, queued_resource_id=job.name, queued_resource=resource
    )


def startup_script(job: Job, options: Options) -> str:
    """deploy/payload/tpu_startup.sh with the job's values above it, each quoted as a whole."""
    values = {
        "NAME": job.name,
        "PROJECT": options.project,
        "ZONE": options.zone,
        "WORKDIR": job.workdir,
        "ARCHIVE": job.archive_url,
        "DIGEST": job.digest,
        "MAX_SECONDS": str(options.max_run_hours * 3600),
        "SEVERAL": "yes" if options.is_slice_of_several else "",
        "BOOTSTRAP": job.command[2],
    }
    lists = {"REQUIREMENTS": requirements(), "ARGUMENTS": job.arguments}
    header = [
        "#!/bin/bash",
        "# Quoted, since nothing of it is meant for the shell.",
        "# shellcheck disable=SC1003,SC2016",
        *(f"readonly {name}={shlex.quote(value)}" for name, value in values.items()),
        *(f"readonly {name}=({shlex.join(items)})" for name, items in lists.items()),
    ]
    return "\n".join([*header, STARTUP.read_text(encoding="utf-8")])


def requirements() -> list[str]:
    """What the machine installs beside the job's archive, all of it pinned."""
    lines = _REQUIREMENTS.read_text(encoding="utf-8").splitlines()
    return [line for line in lines if not line.startswith("#")]


def render(request: tpu_v2.CreateQueuedResourceRequest) -> str:
    """The request as JSON, in the form of the service's REST interface."""
    content = type(request).to_dict(
        request, preserving_proto_field_name=False, always_print_fields_with_no_presence=False
    )
    return json.dumps(content, indent=2, sort_keys=True)


def equivalent(job: Job, options: Options) -> str:
    """Commands for a shell that write the start-up script into a file and make the same of it."""
    script = f"{job.name}-startup.sh"
    labels = ",".join(f"{key}={value}" for key, value in _labels(job).items())
    optional = {
        "--network": options.network,
        "--service-account": options.service_account,
        "--scopes": options.service_account and google_api.SCOPE,
    }
    write = shlex.join(["printf", "%s", startup_script(job, options)])
    create = shlex.join(
        [
            *("gcloud", "compute", "tpus", "queued-resources", "create", job.name),
            f"--node-id={job.name}",
            f"--project={options.project}",
            f"--zone={options.zone}",
            f"--accelerator-type={options.accelerator_type}",
            f"--runtime-version={options.runtime_version}",
            *(f"{flag}={value}" for flag, value in optional.items() if value),
            *(["--spot"] if options.spot else []),
            f"--labels={labels}",
            f"--metadata={WORKDIR}={job.workdir}",
            f"--metadata-from-file=startup-script={script}",
        ]
    )
    return f"{write} > {script} && {create}"


def prerequisites(job: Job, options: Options) -> list[str]:
    """What has to be there before, each with the command that makes it."""
    kind = "preemptible" if options.spot else "on-demand"
    account = options.service_account or "the project's default service account"
    return [
        *common.start(options.project, "tpu.googleapis.com"),
        f"quota for {kind} TPU v5e cores in {options.zone}: ask for it on the console's page "
        "IAM & Admin > Quotas",
        common.bucket(job, options.project, options.zone.rpartition("-")[0]),
        *_reachable(options),
        f"{account} with roles/tpu.admin, since it deletes its machine, and the bucket's: "
        + common.granted(
            options.project, options.service_account, "roles/tpu.admin", "roles/storage.objectUser"
        ),
        *common.reviews(job),
    ]


def connect(
    options: Options,
    workdir: str | None = None,
    channel: Channel | None = None,
    patience: float = 120.0,
) -> TpuVm:
    """The service; UserError without credentials.

    The workdir is that of the jobs; it is needed once a job's machine is gone, unless this process
    has seen the machine before. A channel leads elsewhere than to Google.
    """
    if channel:
        client = tpu_v2.TpuClient(transport=TpuGrpcTransport(channel=channel))
    else:
        client = tpu_v2.TpuClient(credentials=google_api.credentials())
    return TpuVm(client, _parent(options), workdir, patience)


def _check_fits(job: Job, options: Options) -> None:
    compatibility.strategy(job.config, ("auto", "tpu"), "--target=tpu_vm")
    rules.check_replicas(job.config, options.chips)
    if job.config.strategy.tpu != "local":
        raise UserError(
            f"config.strategy.tpu: got {job.config.strategy.tpu!r}, but the job runs beside its "
            "TPU; accepted is 'local'"
        )


def _check_oneofs(resource: tpu_v2.QueuedResource, options: Options) -> None:
    """A oneof silently takes the last value that it was given. No tier is what is on demand."""
    message = tpu_v2.QueuedResource.pb(resource)
    found = [message.WhichOneof(name) for name in ("resource", "tier")]
    found += [spec.WhichOneof("name_strategy") for spec in message.tpu.node_spec]
    wanted = ["tpu", "spot" if options.spot else None, "node_id"]
    if found != wanted:
        raise ValueError(f"queued resource: got {found}, expected {wanted}")


def _labels(job: Job) -> dict[str, str]:
    return {"app": "longhaul", "digest": job.digest[:16]}


def _parent(options: Options) -> str:
    return f"projects/{options.project}/locations/{options.zone}"


def _reachable(options: Options) -> list[str]:
    if not options.is_slice_of_several:
        return []
    network = options.network.rpartition("/")[2] or "default"
    listed = ["gcloud", "compute", "firewall-rules", "list", f"--project={options.project}"]
    listed.append(f"--filter=network:{network}")
    return [
        f"{common.between_servers('a firewall', 'the machines of the slice')}: {shlex.join(listed)}"
    ]
