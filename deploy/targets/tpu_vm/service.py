"""Queued resources of Cloud TPU, and the jobs in them. Made by `deploy.tpu_vm.connect`.

    remote = TpuVm(client, "projects/PROJECT/locations/ZONE", workdir)
    remote.submit(job, request)
    remote.state("imdb").text           # WAITING_FOR_RESOURCES, PROVISIONING, ACTIVE, ...

A job deletes its own resource when it is over, having left its exit code in the workdir.
"""

import contextlib
import re
import uuid
from collections.abc import Callable
from typing import Any

from google.api_core import exceptions, retry
from google.cloud import tpu_v2

from deploy.google_api import call
from deploy.job import Job, State, check_name
from storage.errors import UserError
from storage.store import Store, open_store

WORKDIR = "longhaul-workdir"  # metadata of the machine
_SUBMISSION = "longhaul-submission"  # label, another one for each `submit`
_OUT_OF_TIME = "124"  # tpu_startup.sh's exit code when the job's time is over
_SECONDS_TO_DELETE = 900.0


class TpuVm:
    """A deploy.job.Remote. Calls that fail for a moment are repeated for `patience` seconds."""

    def __init__(self, client: tpu_v2.TpuClient, parent: str, workdir: str | None, patience: float):
        self._client = client
        self._parent = parent
        self._workdir = workdir
        self._patience = patience

    def submit(self, job: Job, request: tpu_v2.CreateQueuedResourceRequest) -> str:
        """The resource's full name; UserError when there is one of that name."""
        self._workdir = job.workdir
        with contextlib.suppress(exceptions.NotFound):
            self._get(job.name)
            raise self._exists(job.name)
        # Of an earlier job of this name: it is not this one's end.
        self._store(job.name).delete(_exit(job.name))
        try:
            return self._create(request)
        except exceptions.AlreadyExists:
            raise self._exists(job.name) from None

    def state(self, name: str) -> State:
        """Of the resource, or of the job that has deleted it; UserError when there was none."""
        try:
            resource = self._get(name)
        except exceptions.NotFound:
            return self._ended(name)
        state = resource.state.state.name
        why = _line(resource.state.failed_data.error.message)
        if state == "ACTIVE" and (code := self._exit_code(name)):
            why = f"the job left with exit code {code}, its machine is still there: cancel it"
            return State(state, over=True, succeeded=code == "0", detail=why)
        if state == "SUSPENDED":
            why = "taken away, for good; cancel it and submit it again, and the run resumes"
        return State(state, over=state == "FAILED", succeeded=False, detail=why)

    def cancel(self, name: str) -> None:
        """Deletes machine and resource; UserError when there was none."""
        try:
            resource = self._get(name)
        except exceptions.NotFound:
            self._ended(name)
            return
        if resource.state.state.name != "DELETING":
            self._delete(name)

    def recreate(self, job: Job, request: tpu_v2.CreateQueuedResourceRequest) -> str:
        """Makes a SUSPENDED resource anew, as soon as the old one is gone; its full name."""
        with contextlib.suppress(exceptions.NotFound):
            if self._get(job.name).state.state.name != "DELETING":
                self._delete(job.name)
        patiently = retry.Retry(
            predicate=retry.if_exception_type(exceptions.AlreadyExists),
            initial=1.0,
            maximum=30.0,
            timeout=_SECONDS_TO_DELETE,
        )
        try:
            return patiently(self._create)(request)
        except exceptions.RetryError as error:
            raise UserError(
                f"{job.name}: not deleted in {_SECONDS_TO_DELETE:g} s, so it can't be made anew; "
                "run the same command later"
            ) from error

    def logs(self, name: str) -> str:
        """What the job had printed a minute ago; UserError when there is no such log.

        After it what the other machines of a slice have to say.
        """
        with contextlib.suppress(exceptions.NotFound):
            self._get(name)
        store = self._store(name)
        try:
            text = store.read(_log(name)).decode(errors="replace")
            others = (_machine(name, log) for log in store.list(f"logs/{name}."))
            for number in sorted(filter(None, others)):
                log = store.read(_log(f"{name}.{number}")).decode(errors="replace")
                text += f"\n==> machine {number} <==\n{log}"
            return text
        except FileNotFoundError:
            raise UserError(
                f"{name}: no log in {store.url}/{_log(name)}; the machine writes it once it has "
                "started, see `status`"
            ) from None

    def _get(self, name: str) -> tpu_v2.QueuedResource:
        """NotFound when there is none."""
        resource = self._call(
            f"{name}: its state",
            self._client.get_queued_resource,
            {"name": self._full_name(name)},
        )
        for spec in resource.tpu.node_spec:
            self._workdir = self._workdir or spec.node.metadata.get(WORKDIR)
        return resource

    def _create(self, request: tpu_v2.CreateQueuedResourceRequest) -> str:
        """AlreadyExists when another submission has made it."""
        mine = uuid.uuid4().hex
        marked = tpu_v2.CreateQueuedResourceRequest(request)
        marked.queued_resource.tpu.node_spec[0].node.labels[_SUBMISSION] = mine
        name = marked.queued_resource_id
        try:
            # It answers with an operation, which is not waited for: `state` tells.
            self._call(f"{name}: submit", self._client.create_queued_resource, marked)
        except exceptions.AlreadyExists:
            # Perhaps by the try before, whose answer was lost.
            if self._submission(name) != mine:
                raise
        except exceptions.NotFound as error:
            raise UserError(
                f"{name}: submit: {self._parent} is not there ({_line(error.message)}); change "
                "--project or --zone"
            ) from error
        return self._full_name(name)

    def _submission(self, name: str) -> str | None:
        """Which `_create` has made the resource; None when it is gone by now."""
        try:
            (spec,) = self._get(name).tpu.node_spec
        except exceptions.NotFound:
            return None
        return spec.node.labels.get(_SUBMISSION)

    def _delete(self, name: str) -> None:
        # NotFound: it went by itself, or by a try whose answer was lost.
        with contextlib.suppress(exceptions.NotFound):
            # Forced: with its machine.
            request = {"name": self._full_name(name), "force": True}
            self._call(f"{name}: delete", self._client.delete_queued_resource, request)

    def _call(self, what: str, method: Callable, request: Any) -> Any:
        return call(what, method, request=request, patience=self._patience)

    def _exists(self, name: str) -> UserError:
        return UserError(
            f"--name: {self._full_name(name)} exists already, it is {self.state(name).text}; give "
            "another --name, or cancel that one first"
        )

    def _ended(self, name: str) -> State:
        """How a job ended whose resource is gone, by what it left in the workdir."""
        code = self._exit_code(name)
        if not code:
            store = self._store(name)
            if not store.exists(_log(name)):
                raise UserError(
                    f"{name}: no such job in {self._parent}, and none has left a log in "
                    f"{store.url}; give the --name, --zone, --project and --workdir it was "
                    "submitted with"
                )
            return State("DELETED", True, False, "it left no exit code: cancelled, most likely")
        detail = f"exit code {code}"
        if code == _OUT_OF_TIME:
            detail = "its --max_run_hours were over"
        return State("DELETED", True, code == "0", detail)

    def _exit_code(self, name: str) -> str:
        """What the job's machine has written at its end, "" before."""
        try:
            return self._store(name).read(_exit(name)).decode(errors="replace").strip()
        except FileNotFoundError:
            return ""

    def _store(self, name: str) -> Store:
        if not self._workdir:
            raise UserError(
                f"{name}: {self._full_name(name)} is not there; give the job's --workdir, where "
                "its log and exit code are"
            )
        return open_store(self._workdir)

    def _full_name(self, name: str) -> str:
        check_name(name)
        return f"{self._parent}/queuedResources/{name}"


def _log(name: str) -> str:
    return f"logs/{name}.log"


def _machine(name: str, log: str) -> int | None:
    """The machine of a slice, but the first, whose log that is."""
    match = re.fullmatch(rf"logs/{re.escape(name)}\.([1-9][0-9]*)\.log", log)
    return int(match[1]) if match else None


def _exit(name: str) -> str:
    return f"logs/{name}.exit"


def _line(text: str) -> str:
    return " ".join(text.split())
