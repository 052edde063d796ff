"""How a job on a TPU VM has ended, from the exit code that its machine left in the workdir.

ended("imdb", "projects/P/locations/us-west4-a", "ACTIVE", "1").detail
"""

from deploy.targets.target import State

_NEVER_KEPT = ("0", "124")  # exit codes, see tpu_startup.sh
_CRASHES = (4, 6, 7, 8, 9, 11)  # signals; 9 is that of too little memory
# What exit codes of tpu_startup.sh mean that the trainer doesn't have.
_MEANINGS = {
    "124": "its --max_run_hours were over",
    "69": "a machine of the slice could not be reached, see its log and the network's firewall",
    **{str(128 + number): f"crashed three times (signal {number})" for number in _CRASHES},
}


def meaning(code: str) -> str:
    """Returns what an exit code of tpu_startup.sh means."""
    return _MEANINGS.get(code, f"exit code {code}")


def ended(name: str, parent: str, state: str, code: str) -> State:
    """Returns the state of a job that is over and whose resource, in `state`, still exists."""
    detail = meaning(code)
    if state == "ACTIVE" and code in _NEVER_KEPT:
        detail += "; its machine is about to be deleted"
    elif state == "ACTIVE":
        _, project, _, zone = parent.split("/")
        shell = f"gcloud compute tpus tpu-vm ssh {name} --zone={zone} --project={project}"
        detail += (
            f"; its machine still exists, for up to --keep_on_failure hours: {shell}; `cancel` "
            "deletes it"
        )
    return State(state, over=True, succeeded=code == "0", detail=detail)
