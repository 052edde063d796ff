"""Queued resources of Cloud TPU and the jobs in them, over the network, with retries.

    service = TARGET.connect(options, workdir)
    service.submit(job, request)
    service.state("imdb").text           # WAITING_FOR_RESOURCES, PROVISIONING, ACTIVE, ...

A job that is over writes its exit code to the workdir and deletes its queued resource.
"""

import contextlib
import re
import uuid
from collections.abc import Callable
from typing import Any

from google.api_core import exceptions, retry
from google.cloud import tpu_v2

from deploy.checks import one_line
from deploy.google_api import call
from deploy.job import Job, check_name
from deploy.remote import Remote, State
from deploy.targets.tpu_vm.request import WORKDIR
from storage.errors import UserError
from storage.store import Store, open_store

_SUBMISSION = "longhaul-submission"  # label with an id that each creation makes for itself
_OUT_OF_TIME = "124"  # tpu_startup.sh's exit code when the job's time is over
_SECONDS_TO_DELETE = 900.0


class TpuService(Remote):
    """A connection to the service. Failed calls are retried for `retry_seconds`."""

    def __init__(
        self, client: tpu_v2.TpuClient, parent: str, workdir: str | None, retry_seconds: float
    ):
        self._client = client
        self._parent = parent
        self._workdir = workdir
        self._retry_seconds = retry_seconds

    def submit(self, job: Job, request: tpu_v2.CreateQueuedResourceRequest) -> str:
        """Makes the resource and returns its full name. Raises UserError when the name is taken."""
        self._workdir = job.workdir
        with contextlib.suppress(exceptions.NotFound):
            self._get(job.name)
            raise self._name_is_taken(job.name)
        # An earlier job of this name may have left its exit code.
        self._store(job.name).delete(_exit_file(job.name))
        try:
            return self._create(request)
        except exceptions.AlreadyExists:
            raise self._name_is_taken(job.name) from None

    def state(self, name: str) -> State:
        """Returns the state of the resource, or how the job ended that has deleted it.

        Raises UserError when there was no such job.
        """
        try:
            resource = self._get(name)
        except exceptions.NotFound:
            return self._final_state(name)
        state = resource.state.state.name
        reason = one_line(resource.state.failed_data.error.message)
        if state == "ACTIVE" and (code := self._exit_code(name)):
            reason = f"the job left with exit code {code}, its machine still exists: cancel it"
            return State(state, over=True, succeeded=code == "0", detail=reason)
        taken_away = state == "SUSPENDED"  # a state that a resource never leaves
        if taken_away:
            reason = "taken away for good; cancel it and submit it again, and the run resumes"
        return State(state, state == "FAILED", False, reason, taken_away)

    def cancel(self, name: str) -> None:
        """Deletes the resource and its machine. Raises UserError when there was no such job."""
        try:
            resource = self._get(name)
        except exceptions.NotFound:
            self._final_state(name)
            return
        if resource.state.state.name != "DELETING":
            self._delete(name)

    def recreate(self, job: Job, request: tpu_v2.CreateQueuedResourceRequest) -> str:
        """Replaces a SUSPENDED resource, once the old one is deleted. Returns its full name."""
        with contextlib.suppress(exceptions.NotFound):
            if self._get(job.name).state.state.name != "DELETING":
                self._delete(job.name)
        until_deleted = retry.Retry(
            predicate=retry.if_exception_type(exceptions.AlreadyExists),
            initial=1.0,
            maximum=30.0,
            timeout=_SECONDS_TO_DELETE,
        )
        try:
            return until_deleted(self._create)(request)
        except exceptions.RetryError as error:
            raise UserError(
                f"{job.name}: not deleted in {_SECONDS_TO_DELETE:g} s, so it can't be made again; "
                "run the same command later"
            ) from error

    def logs(self, name: str) -> str:
        """Returns what the job had printed about a minute ago.

        The logs of a slice's other machines follow that of the first. Raises UserError when there
        is no log.
        """
        with contextlib.suppress(exceptions.NotFound):
            self._get(name)
        store = self._store(name)
        try:
            text = store.read(_log_file(name)).decode(errors="replace")
            numbers = (_machine_number(name, file) for file in store.list(f"logs/{name}."))
            for number in sorted(filter(None, numbers)):
                log = store.read(_log_file(f"{name}.{number}")).decode(errors="replace")
                text += f"\n==> machine {number} <==\n{log}"
            return text
        except FileNotFoundError:
            raise UserError(
                f"{name}: no log in {store.url}/{_log_file(name)}; the machine writes it once it "
                "has started, see `status`"
            ) from None

    def _get(self, name: str) -> tpu_v2.QueuedResource:
        """Returns a resource. Raises NotFound when it doesn't exist."""
        resource = self._call(
            f"{name}: its state",
            self._client.get_queued_resource,
            {"name": self._full_name(name)},
        )
        for spec in resource.tpu.node_spec:
            self._workdir = self._workdir or spec.node.metadata.get(WORKDIR)
        return resource

    def _create(self, request: tpu_v2.CreateQueuedResourceRequest) -> str:
        """Makes a resource and returns its full name.

        Raises AlreadyExists when another submission has made it.
        """
        submission = uuid.uuid4().hex
        labelled = tpu_v2.CreateQueuedResourceRequest(request)
        labelled.queued_resource.tpu.node_spec[0].node.labels[_SUBMISSION] = submission
        name = labelled.queued_resource_id
        try:
            # The response is an operation, which is not waited for: `state` shows its progress.
            self._call(f"{name}: submit", self._client.create_queued_resource, labelled)
        except exceptions.AlreadyExists:
            # The try before may have made it though its response was lost.
            if self._submission(name) != submission:
                raise
        except exceptions.NotFound as error:
            raise UserError(
                f"{name}: submit: {self._parent} does not exist ({one_line(error.message)}); "
                "change --project or --zone"
            ) from error
        return self._full_name(name)

    def _submission(self, name: str) -> str | None:
        """Returns the label of the `_create` that made a resource; None if it no longer exists."""
        try:
            (spec,) = self._get(name).tpu.node_spec
        except exceptions.NotFound:
            return None
        return spec.node.labels.get(_SUBMISSION)

    def _delete(self, name: str) -> None:
        # NotFound: it deleted itself, or a try did whose response was lost.
        with contextlib.suppress(exceptions.NotFound):
            request = {"name": self._full_name(name), "force": True}  # with its machine
            self._call(f"{name}: delete", self._client.delete_queued_resource, request)

    def _call(self, what: str, method: Callable, request: Any) -> Any:
        return call(what, method, request=request, retry_seconds=self._retry_seconds)

    def _name_is_taken(self, name: str) -> UserError:
        return UserError(
            f"--name: {self._full_name(name)} exists already, in state {self.state(name).text}; "
            "give another --name, or cancel that one first"
        )

    def _final_state(self, name: str) -> State:
        """Returns how a job ended whose resource is deleted, from its files in the workdir."""
        code = self._exit_code(name)
        if not code:
            store = self._store(name)
            if not store.exists(_log_file(name)):
                raise UserError(
                    f"{name}: no such job in {self._parent}, and no log of it in {store.url}; give "
                    "the --name, --zone, --project and --workdir it was submitted with"
                )
            return State("DELETED", True, False, "it left no exit code; probably cancelled")
        detail = f"exit code {code}"
        if code == _OUT_OF_TIME:
            detail = "its --max_run_hours were over"
        return State("DELETED", True, code == "0", detail)

    def _exit_code(self, name: str) -> str:
        """Returns the exit code that the job's machine wrote at its end; "" before that."""
        try:
            return self._store(name).read(_exit_file(name)).decode(errors="replace").strip()
        except FileNotFoundError:
            return ""

    def _store(self, name: str) -> Store:
        if not self._workdir:
            raise UserError(
                f"{name}: {self._full_name(name)} does not exist; give the job's --workdir, where "
                "its log and exit code are"
            )
        return open_store(self._workdir)

    def _full_name(self, name: str) -> str:
        check_name(name)
        return f"{self._parent}/queuedResources/{name}"


def _log_file(name: str) -> str:
    return f"logs/{name}.log"


def _exit_file(name: str) -> str:
    return f"logs/{name}.exit"


def _machine_number(name: str, file: str) -> int | None:
    """Returns the number of the slice's machine that wrote a log; None for other files.

    The first machine's log has no number in its name.
    """
    match = re.fullmatch(rf"logs/{re.escape(name)}\.([1-9][0-9]*)\.log", file)
    return int(match[1]) if match else None
