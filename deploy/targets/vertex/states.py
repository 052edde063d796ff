"""The state of a CustomJob, as the deploy commands show it and act on it.

state_of(job).waiting           # queued, or its machines are being made
"""

from google.cloud.aiplatform_v1.types import CustomJob, JobState
from google.rpc import code_pb2

from deploy import exit_file
from deploy.checks import one_line
from deploy.google_api import enum_name, is_stockout
from deploy.targets.target import State
from deploy.targets.vertex.request import exit_file_in
from storage.errors import UserError
from storage.exit_codes import RUN_AGAIN
from storage.store import open_store

_WAITING = {JobState.JOB_STATE_QUEUED, JobState.JOB_STATE_PENDING}
_SUCCEEDED = {JobState.JOB_STATE_SUCCEEDED}
_FAILED = JobState.JOB_STATE_FAILED
OVER = _SUCCEEDED | {
    JobState.JOB_STATE_FAILED,
    JobState.JOB_STATE_CANCELLED,
    JobState.JOB_STATE_EXPIRED,
    JobState.JOB_STATE_PARTIALLY_SUCCEEDED,
}


def state_of(job: CustomJob) -> State:
    """Returns the state by what the service says alone."""
    message = one_line(job.error.message)
    detail = f"{message} ({_code(job)})" if job.error.code else message
    if job.state not in OVER:
        shells = [f"shell of {machine}: {uri}" for machine, uri in job.web_access_uris.items()]
        detail = "; ".join(filter(None, [detail, *sorted(shells)]))
    return State(
        enum_name(job.state),
        over=job.state in OVER,
        succeeded=job.state in _SUCCEEDED,
        detail=detail,
        waiting=job.state in _WAITING,
        no_capacity=is_stockout(job.error.code, message),
    )


def state_with_exit_code(job: CustomJob) -> State:
    """Returns the state, with `taken_away` when a failed job asked to be run again."""
    state = state_of(job)
    if job.state != _FAILED:
        return state
    try:
        code = _exit_code(job)
    except UserError as error:  # it is no reason to hide the state
        return state._replace(detail=f"{state.detail}; its exit code can't be read: {error}")
    if code != str(RUN_AGAIN):
        return state
    reason = f"it left with exit code {RUN_AGAIN}, which asks for another start"
    detail = "; ".join(filter(None, [state.detail, reason]))
    return state._replace(detail=detail, taken_away=True)


def _exit_code(job: CustomJob) -> str:
    """Returns what the chief's last start wrote at its end; "" when it wrote nothing."""
    folder, _, name = exit_file_in(job.job_spec).rpartition("/")
    return exit_file.read(open_store(folder), name) if folder else ""


def _code(job: CustomJob) -> str:
    """Returns the name of the error's code, such as INVALID_ARGUMENT."""
    names = {number: name for name, number in code_pb2.Code.items()}
    return names.get(job.error.code, str(job.error.code))
