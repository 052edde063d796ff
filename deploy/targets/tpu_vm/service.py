"""Queued resources of Cloud TPU and the jobs in them, over the network, with retries.

    service = TARGET.connect(options, workdir)
    service.submit(job, request)
    service.state("imdb").text           # WAITING_FOR_RESOURCES, PROVISIONING, ACTIVE, ...

A job that is over writes its exit code to the workdir and deletes its queued resource.
"""

import contextlib
import uuid
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

from google.api_core import exceptions, retry
from google.cloud import tpu_v2

from deploy import exit_file
from deploy.checks import one_line
from deploy.google_api import call, enum_name, is_stockout
from deploy.job import Job, check_name
from deploy.remote import QuotaExhausted, Remote
from deploy.targets.target import Listed, State
from deploy.targets.tpu_vm import states
from deploy.targets.tpu_vm.log import TpuLog, log_file
from deploy.targets.tpu_vm.request import WORKDIR
from storage.errors import UserError
from storage.store import Store, open_store

_SUBMISSION = "longhaul-submission"  # label with an id that each creation makes for itself
_SECONDS_TO_DELETE = 900.0
_OURS = {"app": "longhaul"}  # labels, see request.py
_DELETED = "DELETED"  # of a resource that no longer exists
_WITHOUT_MACHINES = ("ACCEPTED", "WAITING_FOR_RESOURCES", "CREATING", "PROVISIONING")
# States in which the job may have written its exit code, also when its machine is lost after that.
_STARTED = ("ACTIVE", "SUSPENDING", "SUSPENDED")
_NEVER = datetime.min.replace(tzinfo=timezone.utc)


class TpuService(Remote):
    """A connection to the service. Failed calls are retried for `retry_seconds`."""

    def __init__(
        self, client: tpu_v2.TpuClient, parent: str, workdir: str | None, retry_seconds: float
    ):
        self._client = client
        self._parent = parent
        self._workdir = workdir
        self._retry_seconds = retry_seconds
        # A machine that replaces another one continues its log, which is not to be read twice.
        self._logs: dict[str, TpuLog] = {}

    def submit(self, job: Job, request: tpu_v2.CreateQueuedResourceRequest) -> str:
        """Makes the resource and returns its full name. Raises UserError when the name is taken."""
        self._workdir = job.workdir
        try:
            return self._create(request)
        except exceptions.AlreadyExists:
            raise UserError(
                f"--name: {self._full_name(job.name)} exists already, in state "
                f"{self.state(job.name).text}; give another --name, or cancel that one first"
            ) from None

    def find(self, name: str) -> State | None:
        """Returns the state of a job, or None when neither the service nor the workdir has it."""
        try:
            resource = self._get(name)
        except exceptions.NotFound:
            return self._final_state(name)
        return self._state(name, resource)

    def state(self, name: str) -> State:
        """Returns the state of the resource, or how the job ended that has deleted it.

        Raises UserError when there was no such job.
        """
        state = self.find(name)
        if state is None:
            raise UserError(
                f"{name}: no such job in {self._parent}, and no log of it in "
                f"{self._store(name).url}; give the --zone, --project and --workdir it was "
                "submitted with"
            )
        return state

    def cancel(self, name: str) -> None:
        """Deletes the resource and its machine. Raises UserError when there was no such job."""
        if self.state(name).text not in (_DELETED, "DELETING"):
            self._delete(name)

    def delete(self, name: str) -> None:
        """Deletes the resource, which is all that the service has of a job."""
        self.cancel(name)

    def jobs(self) -> list[Listed]:
        """Returns the resources that a submission has made, the newest first."""
        try:
            resources = self._read("list the jobs", self._list, {"parent": self._parent})
        except exceptions.NotFound as error:
            raise self._no_such_place("list the jobs", error) from error
        listed = []
        for resource in filter(_is_ours, resources):
            self._workdir = _workdir_of(resource)
            name = resource.name.rpartition("/")[2]
            listed.append(Listed(name, self._state(name, resource), resource.create_time))
        return sorted(listed, key=lambda job: job.created or _NEVER, reverse=True)

    def link(self, name: str) -> str:
        """Returns the URL of a job's machine in Google's console."""
        _, project, _, zone = self._parent.split("/")
        machine = f"{zone}/{name.rpartition('/')[2]}"
        return f"https://console.cloud.google.com/compute/tpus/details/{machine}?project={project}"

    def recreate(self, name: str) -> str:
        """Replaces a SUSPENDED resource, once the old one is deleted. Returns its full name."""
        try:
            old = self._get(name)
        except exceptions.NotFound as error:
            raise UserError(f"{name}: was deleted meanwhile; submit it again") from error
        request = _same_again(old, self._parent, name)
        if enum_name(old.state.state) != "DELETING":
            self._delete(name)
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
                f"{name}: not deleted in {_SECONDS_TO_DELETE:g} s, so it can't be made again; "
                "submit it later"
            ) from error

    def log(self, name: str, since: datetime | None) -> TpuLog:
        """Opens the log, to which the machines add what they have printed about once a minute."""
        if since:
            raise UserError("--since: the log of a TPU VM has no times of its lines; leave it out")
        with contextlib.suppress(exceptions.NotFound):
            self._get(name)
        return self._logs.setdefault(name, TpuLog(self._store(name), name))

    def _state(self, name: str, resource: tpu_v2.QueuedResource) -> State:
        state = enum_name(resource.state.state)
        error = resource.state.failed_data.error
        reason = one_line(error.message)
        if state in _STARTED and self._workdir:
            try:
                if code := self._exit_code(name):
                    return states.ended(name, self._parent, state, code)
            except UserError as unreadable:  # it is no reason to hide the state
                return State(state, False, False, f"its exit code can't be read: {unreadable}")
        if state == "SUSPENDED":  # a state that a resource never leaves
            reason = "its machines were taken away for good; `wait` submits it again"
            return State(state, False, False, reason, taken_away=True)
        no_capacity = state == "FAILED" and is_stockout(error.code, reason)
        waiting = state in _WITHOUT_MACHINES
        return State(state, state == "FAILED", False, reason, False, waiting, no_capacity)

    def _get(self, name: str) -> tpu_v2.QueuedResource:
        """Returns a resource. Raises NotFound when it doesn't exist."""
        resource = self._read(
            f"{name}: its state",
            self._client.get_queued_resource,
            {"name": self._full_name(name)},
        )
        self._workdir = self._workdir or _workdir_of(resource)
        return resource

    def _list(
        self, request: dict[str, str], timeout: float, retry: Any
    ) -> list[tpu_v2.QueuedResource]:
        """Returns the resources of all pages."""
        return [*self._client.list_queued_resources(request, timeout=timeout, retry=retry)]

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
        except (exceptions.AlreadyExists, QuotaExhausted):
            # The try before may have made it though its response was lost.
            if self._submission(name) != submission:
                raise
        except exceptions.NotFound as error:
            raise self._no_such_place(f"{name}: submit", error) from error
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

    def _read(self, what: str, method: Callable, request: Any) -> Any:
        return self._call(what, method, request, changes_nothing=True)

    def _call(self, what: str, method: Callable, request: Any, **how: bool) -> Any:
        return call(what, method, request=request, retry_seconds=self._retry_seconds, **how)

    def _no_such_place(self, what: str, error: exceptions.NotFound) -> UserError:
        return UserError(
            f"{what}: {self._parent} does not exist ({one_line(error.message)}); change --project "
            "or --zone"
        )

    def _final_state(self, name: str) -> State | None:
        """Returns how a job ended whose resource is deleted, from its files in the workdir.

        Returns None when there are none.
        """
        code = self._exit_code(name)
        if not code:
            if not self._store(name).exists(log_file(name)):
                return None
            return State(_DELETED, True, False, "it left no exit code; probably cancelled")
        return State(_DELETED, True, code == "0", states.meaning(code))

    def _exit_code(self, name: str) -> str:
        """Returns the exit code that the job's machine wrote at its end; "" before that."""
        return exit_file.read(self._store(name), exit_file.name_of(name))

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


def _is_ours(resource: tpu_v2.QueuedResource) -> bool:
    return any(_OURS.items() <= dict(spec.node.labels).items() for spec in resource.tpu.node_spec)


def _workdir_of(resource: tpu_v2.QueuedResource) -> str | None:
    found = (spec.node.metadata.get(WORKDIR) for spec in resource.tpu.node_spec)
    return next(filter(None, found), None)


def _same_again(
    resource: tpu_v2.QueuedResource, parent: str, name: str
) -> tpu_v2.CreateQueuedResourceRequest:
    """Returns the request that makes such a resource again, without what the service has added."""
    again = tpu_v2.QueuedResource(resource)
    again.name = ""
    for field in ("state", "create_time"):
        tpu_v2.QueuedResource.pb(again).ClearField(field)
    return tpu_v2.CreateQueuedResourceRequest(
        parent=parent, queued_resource_id=name, queued_resource=again
    )
