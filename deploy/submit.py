"""Runs a job somewhere: the same flags as `python -m trainer`, and where.

    python -m deploy.submit --dry_run --target=vertex --region=us-central1 \\
        --config=configs/imdb_gpu.py --workdir=gs://BUCKET/runs/imdb
    python -m deploy.submit --target=local --workers=2 --config=configs/imdb.py --workdir=runs/imdb
    python -m deploy.submit wait NAME --target=vertex --region=us-central1

Kept this short on purpose: flags, and one call.
"""

import sys

from absl import app, flags

from configs.schema import command_line, rules
from deploy import jobs
from deploy.targets import local
from storage.errors import UserError

_CONFIG = command_line.define_config()
_WORKDIR = flags.DEFINE_string("workdir", None, "Folder or gs:// URL of the run.")
_TARGET = flags.DEFINE_enum("target", "local", ["local", *jobs.TARGETS], "Where.")
_NAME = flags.DEFINE_string("name", "", "Of the job; by default made of the command.")
_DRY_RUN = flags.DEFINE_bool("dry_run", False, "Check and show everything, send nothing.")
_WAIT = flags.DEFINE_bool("wait", False, "Stay until the job is over.")
_WORKERS = flags.DEFINE_integer("workers", None, "Machines, or processes of --target=local.")
_MAX_RESTARTS = flags.DEFINE_integer("max_restarts", None, "Starts anew when a worker is lost.")

# Those of the targets, whose Options say what each accepts and its default.
_STRINGS = {
    "project": "Google Cloud project; by default GOOGLE_CLOUD_PROJECT or that of the credentials.",
    "region": "For vertex, such as us-central1; for gke that of the image.",
    "zone": "For tpu_vm, such as us-west4-a.",
    "machine": "For vertex: machine type, by default one that has the GPUs.",
    "accelerator": "GPU, such as NVIDIA_L4 of vertex or nvidia-l4 of gke; '' is none.",
    "accelerator_type": "For tpu_vm, such as v5litepod-4, or -16 for a slice of machines.",
    "runtime_version": "For tpu_vm: image of the TPU VM.",
    "provisioning": "For vertex: standard, spot or flex_start.",
    "image": "Container image with the dependencies, made from deploy/payload/Dockerfile.",
    "network": "VPC network.",
    "service_account": "Account that the job runs as.",
    "tensorboard": "For vertex: full name of a TensorBoard, which the job's events go to.",
    "namespace": "For gke.",
    "queue": "For gke: Kueue's queue.",
    "tpu_accelerator": "For gke: such as tpu-v5-lite-podslice.",
    "tpu_topology": "For gke: such as 2x2, or 4x4 for a slice of several machines.",
    "cpu": "For gke: cores of a pod.",
    "memory": "For gke: memory of a pod, such as 32Gi.",
}
_NUMBERS = {
    "accelerators": "GPUs of each machine.",
    "boot_disk_gb": "For vertex.",
    "max_run_hours": "The end after so long: on vertex of the job, on tpu_vm since a machine's "
    "first boot, on gke of each start.",
}
for _name, _help in _STRINGS.items():
    flags.DEFINE_string(_name, None, _help)
for _name, _help in _NUMBERS.items():
    flags.DEFINE_integer(_name, None, _help)
flags.DEFINE_bool("spot", None, "For tpu_vm, gke: machines that may be taken away, for less.")
_OF_TARGETS = (*_STRINGS, *_NUMBERS, "spot", "workers", "max_restarts")


def main(argv: list[str]) -> None:
    """Submits, or looks after a job; exit code 1 and one line for a UserError."""
    try:
        sys.exit(_run(argv[1:]))
    except UserError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        print("Stopped; had it been submitted already, the same command says so.", file=sys.stderr)
        sys.exit(local.STOPPED_FROM_OUTSIDE)


def _run(words: list[str]) -> int:
    given = {name: flags.FLAGS[name].value for name in _OF_TARGETS}
    given = {name: value for name, value in given.items() if value is not None}
    if words:
        return _follow(words, given)
    config, workdir, target = _CONFIG.value, _WORKDIR.value, _TARGET.value
    for flag, value in (("config", config), ("workdir", workdir)):
        if not value:
            raise UserError(f"--{flag}: missing; give it as for `python -m trainer`")
    rules.check(config)
    options = jobs.make_options(target, given)
    arguments = command_line.config_arguments(sys.argv[1:])
    if _WAIT.value and target in ("local", "gke"):
        raise UserError(f"--wait: got True, but --target={target} has nothing to wait for here")
    if target == "local":
        if _NAME.value:
            raise UserError(f"--name: got {_NAME.value!a}, but processes of this machine have none")
        local.check(config, options)
        arguments.append(f"--workdir={workdir}")
        if _DRY_RUN.value:
            print(local.describe(arguments, options))
            return 0
        return local.run(arguments, options.workers, options.max_restarts)
    plan = jobs.prepare(target, options, _NAME.value, arguments, config, workdir)
    if _DRY_RUN.value:
        print(jobs.describe(plan), end="")
        return 0
    return jobs.submit(plan, _WAIT.value)


def _follow(words: list[str], given: dict) -> int:
    verb, *names = words
    if verb not in jobs.VERBS or len(names) != 1:
        raise UserError(
            f"{' '.join(words)!r}: accepted is {' or '.join(jobs.VERBS)} and the name of one "
            "job, or no such word; quote a value that has spaces"
        )
    if _DRY_RUN.value or _WAIT.value or _NAME.value or _CONFIG.value is not None:
        raise UserError(
            f"{verb}: got --dry_run, --wait, --name or --config, which are for submitting; leave "
            "them out"
        )
    if _TARGET.value == "local":
        raise UserError(f"{verb}: --target={'|'.join(jobs.TARGETS)} is missing")
    options = jobs.make_options(_TARGET.value, given)
    return jobs.follow(verb, _TARGET.value, options, names[0], _WORKDIR.value)


if __name__ == "__main__":
    app.run(main, flags_parser=command_line.parse)
