"""The request that makes a queued resource of Cloud TPU, with the job in its start-up script.

request = make_request(job, Options(zone="us-west4-a", provisioning="spot"))
print(render_request(request))
"""

import json

from google.cloud import tpu_v2

from configs.schema import rules
from deploy.compatibility import check_strategy
from deploy.google_api import SCOPE
from deploy.job import PREPARE, Job
from deploy.targets.tpu_vm.options import Options
from deploy.targets.tpu_vm.startup_script import startup_script
from storage.errors import UserError

WORKDIR = "longhaul-workdir"  # the machine's metadata with the job's workdir
_LONGEST_METADATA = 256 << 10  # bytes of one value, a limit of the metadata server


def make_request(job: Job, options: Options) -> tpu_v2.CreateQueuedResourceRequest:
    """Returns the request for a job. Raises UserError when the job doesn't fit the TPU."""
    _check_config(job, options)
    script = startup_script(job, options)
    if len(script.encode()) > _LONGEST_METADATA:
        raise UserError(
            f"--config: the job's arguments make a start-up script of {len(script.encode()):,} "
            f"bytes, accepted are {_LONGEST_METADATA:,}; give fewer or shorter ones"
        )
    node = tpu_v2.Node(
        accelerator_type=options.accelerator_type,
        runtime_version=options.runtime_version,
        network_config=tpu_v2.NetworkConfig(
            network=options.network,
            subnetwork=options.subnetwork,
            enable_external_ips=options.external_ips,
        ),
        labels=labels(job),
        metadata={"startup-script": script, WORKDIR: job.workdir},
    )
    if options.service_account:
        node.service_account = tpu_v2.ServiceAccount(email=options.service_account, scope=[SCOPE])
    spec = tpu_v2.QueuedResource.Tpu.NodeSpec(parent=options.parent, node_id=job.name, node=node)
    resource = tpu_v2.QueuedResource(
        tpu=tpu_v2.QueuedResource.Tpu(node_spec=[spec]), reservation_name=options.reservation_name
    )
    if options.provisioning == "spot":
        resource.spot = tpu_v2.QueuedResource.Spot()
    check_oneofs(resource, options)
    return tpu_v2.CreateQueuedResourceRequest(
        parent=options.parent, queued_resource_id=job.name, queued_resource=resource
    )


def render_request(request: tpu_v2.CreateQueuedResourceRequest) -> str:
    """Returns the request as JSON, in the form of the service's REST interface."""
    content = type(request).to_dict(
        request, preserving_proto_field_name=False, always_print_fields_with_no_presence=False
    )
    return json.dumps(content, indent=2, sort_keys=True)


def labels(job: Job) -> dict[str, str]:
    """Returns the labels of the machine."""
    return {"app": "longhaul", "digest": job.digest[:16]}


def check_oneofs(resource: tpu_v2.QueuedResource, options: Options) -> None:
    """Raises ValueError unless each oneof holds the field that is meant.

    Setting one field of a protobuf oneof silently clears the others. A resource without a tier is
    on demand.
    """
    message = tpu_v2.QueuedResource.pb(resource)
    found = [message.WhichOneof(name) for name in ("resource", "tier")]
    found += [spec.WhichOneof("name_strategy") for spec in message.tpu.node_spec]
    wanted = ["tpu", "spot" if options.provisioning == "spot" else None, "node_id"]
    if found != wanted:
        raise ValueError(f"queued resource: got {found}, expected {wanted}")


def _check_config(job: Job, options: Options) -> None:
    if job.mode == PREPARE:
        raise UserError(
            "--mode: got 'prepare' with --target=tpu_vm, whose machines have TPUs; give "
            "--target=vertex, gke or local"
        )
    check_strategy(job.config, ("auto", "tpu"), "--target=tpu_vm")
    rules.check_replicas(job.config, options.chips)
    if job.config.strategy.tpu != "local":
        raise UserError(
            f"config.strategy.tpu: got {job.config.strategy.tpu!r}, but the job runs beside its "
            "TPU; accepted is 'local'"
        )
    rules.check_widths(job.config)
