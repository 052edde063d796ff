"""Which machines the pods run on: their devices, and the labels and taints of their nodes.

    devices(Options(accelerators=4))            # {'nvidia.com/gpu': 4}
    node_labels(Options(tpu_topology="2x2"))    # {'cloud.google.com/gke-tpu-topology': '2x2', ...}

Flex-start is asked for by the label of its nodes. That needs nothing but GKE, while the other form,
a ProvisioningRequest, needs Kueue and an administrator who sets it up. It makes the machines of
several pods one by one, so the first may wait for the last and be paid for. Where --queue leads to
a queue of Kueue that makes ProvisioningRequests, all machines come together; the annotation in
`annotations` then says for how long. By the documentation
(cloud.google.com/kubernetes-engine/docs/concepts/dws), not tried.
"""

from typing import Any

from deploy.targets.gke.options import FLEX_START, ON_DEMAND, SPOT, TPU, Options

_GOOGLE = "cloud.google.com"
_LABELS = {SPOT: f"{_GOOGLE}/gke-spot", FLEX_START: f"{_GOOGLE}/gke-flex-start"}
# cloud.google.com/kubernetes-engine/docs/concepts/spot-vms: a spot node gives 15, unless its node
# pool is set up to give more.
_SECONDS_TO_SAVE = {SPOT: 15}


def devices(options: Options) -> dict[str, int]:
    """Returns the devices that each pod requests."""
    if options.tpu_topology:
        return {"google.com/tpu": options.chips // options.pods}
    return {"nvidia.com/gpu": options.gpus} if options.accelerator else {}


def node_labels(options: Options) -> dict[str, str]:
    """Returns the labels of the nodes that can run the pods."""
    labels = {}
    if options.tpu_topology:
        labels[f"{_GOOGLE}/gke-tpu-accelerator"] = TPU
        labels[f"{_GOOGLE}/gke-tpu-topology"] = options.tpu_topology
    elif options.accelerator:
        labels[f"{_GOOGLE}/gke-accelerator"] = options.accelerator
    if options.provisioning != ON_DEMAND:
        labels[_LABELS[options.provisioning]] = "true"
    if options.reservation:
        labels[f"{_GOOGLE}/reservation-name"] = options.reservation
        labels[f"{_GOOGLE}/reservation-affinity"] = "specific"
    return labels


def tolerations(options: Options) -> dict[str, Any]:
    """Returns the field of the pod's spec that lets it onto such nodes; {} when none is needed.

    GKE itself adds those for GPUs and TPUs.
    """
    if options.provisioning == ON_DEMAND:
        return {}
    taint = {"key": _LABELS[options.provisioning], "operator": "Equal", "value": "true"}
    return {"tolerations": [{**taint, "effect": "NoSchedule"}]}


def annotations(options: Options) -> dict[str, str]:
    """Returns the annotations of the JobSet."""
    found = {}
    if options.is_slice_of_several:
        # A slice is one node pool; without this the pods may be spread over several.
        found["alpha.jobset.sigs.k8s.io/exclusive-topology"] = f"{_GOOGLE}/gke-nodepool"
    if options.queue and options.provisioning == FLEX_START:
        seconds = options.max_run_hours * 3600
        found["provreq.kueue.x-k8s.io/maxRunDurationSeconds"] = str(seconds)
    return found


def seconds_to_save(options: Options) -> int:
    """Returns the seconds between SIGTERM and SIGKILL."""
    return _SECONDS_TO_SAVE.get(options.provisioning, 60)
