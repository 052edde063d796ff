"""Vertex AI's JobService and Cloud Logging for tests, on ports of this machine.

    with VertexServer() as server:
        server.inject("CreateCustomJob", StatusCode.UNAVAILABLE, after=True)
        remote = TARGET.connect(options, channel=server.channel, logging=server.logging)

A new job is in the first state of `life`. Each time it is read it moves to the next state, until
the last one. As on Vertex AI, a job's name has the project's number where the request has its ID.
"""

import dataclasses
import datetime
import http.server
import json
import re
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import grpc
from google.cloud.aiplatform_v1 import types
from google.cloud.aiplatform_v1.types import JobState
from google.longrunning.operations_pb2 import Operation
from google.protobuf.empty_pb2 import Empty

from tests.deploy.targets.required_fields import missing

_SERVICE = "google.cloud.aiplatform.v1.JobService"
_PARENT = "projects/some-project/locations/us-central1"
_NUMBERED = "projects/12345/locations/us-central1"
_START = datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc)
LIFE = tuple(JobState[f"JOB_STATE_{s}"] for s in ("QUEUED", "PENDING", "RUNNING", "SUCCEEDED"))
_OVER = {JobState[f"JOB_STATE_{s}"] for s in ("SUCCEEDED", "FAILED", "CANCELLED", "EXPIRED")}


@dataclasses.dataclass
class _Fault:
    method: str
    code: grpc.StatusCode
    message: str
    times: int
    after: bool  # the request is carried out, and its response is lost
    meanwhile: Callable[[], object] | None  # what another client does first


class VertexServer:
    """The two services, while a `with` lasts; `log` has each (method, request) in order."""

    def __init__(self, life: tuple[JobState, ...] = LIFE, page_size: int = 1):
        self.jobs: dict[str, types.CustomJob] = {}
        self.log: list[tuple[str, object]] = []
        self.entries: list[dict] = []  # of Cloud Logging, in the order in which they arrived
        self.entry_requests: list[dict] = []
        self.entry_statuses: list[int] = []  # of the next responses of Cloud Logging, then 200
        self.empty_pages = 0  # that come before the entries
        self.life = life
        self._page_size = page_size
        self._made = 0
        self._to_come: dict[str, list[JobState]] = {}
        self._faults: list[_Fault] = []
        self._lock = threading.Lock()
        self._server = grpc.server(ThreadPoolExecutor(2))
        self._server.add_generic_rpc_handlers([self._handlers()])
        port = self._server.add_insecure_port("127.0.0.1:0")
        self._server.start()
        self.channel = grpc.insecure_channel(f"127.0.0.1:{port}")
        self._http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Logging)
        self._http.vertex = self
        self.logging = f"http://127.0.0.1:{self._http.server_port}"
        threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True).start()

    def __enter__(self) -> "VertexServer":
        return self

    def __exit__(self, *_) -> None:
        self.channel.close()
        self._server.stop(None).wait()
        self._http.shutdown()
        self._http.server_close()

    def inject(
        self,
        method: str,
        code: grpc.StatusCode,
        message: str = "injected",
        times: int = 1,
        after: bool = False,
        meanwhile: Callable[[], object] | None = None,
    ) -> None:
        """Makes the next requests of a method fail, before or after they are carried out."""
        self._faults.append(_Fault(method, code, message, times, after, meanwhile))

    def add(self, job: types.CustomJob) -> types.CustomJob:
        """Makes a job without a request; it keeps its state if it has one."""
        made = types.CustomJob.deserialize(types.CustomJob.serialize(job))
        made.name = f"{_NUMBERED}/customJobs/{1000 + self._made}"
        made.create_time = _START + datetime.timedelta(hours=self._made)
        self._made += 1
        self._to_come[made.name] = [] if made.state else list(self.life[1:])
        made.state = made.state or self.life[0]
        self.jobs[made.name] = made
        return made

    def fail(self, name: str, message: str, code: int = 3) -> None:
        """Makes a job fail, with a code of google.rpc.Code."""
        self.jobs[name].state = JobState.JOB_STATE_FAILED
        self.jobs[name].error = {"code": code, "message": message}
        self._to_come[name] = []

    def requests(self, method: str) -> list:
        """Returns the requests of a method, in order."""
        return [request for name, request in self.log if name == method]

    def _handlers(self) -> grpc.GenericRpcHandler:
        methods = {
            "CreateCustomJob": (self._create, types.CreateCustomJobRequest),
            "ListCustomJobs": (self._list, types.ListCustomJobsRequest),
            "GetCustomJob": (self._get, types.GetCustomJobRequest),
            "CancelCustomJob": (self._cancel, types.CancelCustomJobRequest),
            "DeleteCustomJob": (self._delete, types.DeleteCustomJobRequest),
        }
        handlers = {
            method: grpc.unary_unary_rpc_method_handler(
                self._handler(method, act),
                request_deserializer=request.deserialize,
                response_serializer=_serialized,
            )
            for method, (act, request) in methods.items()
        }
        return grpc.method_handlers_generic_handler(_SERVICE, handlers)

    def _handler(self, method, act):
        def respond(request, context):
            with self._lock:
                self.log.append((method, request))
                fault = next((f for f in self._faults if f.method == method and f.times), None)
                if fault:
                    fault.times -= 1
                if fault and fault.meanwhile:
                    fault.meanwhile()
                if fault and not fault.after:
                    context.abort(fault.code, fault.message)
                if lacking := missing(request):
                    context.abort(
                        grpc.StatusCode.INVALID_ARGUMENT, f"required: {', '.join(lacking)}"
                    )
                result = act(request, context)
                if fault:
                    context.abort(fault.code, fault.message)
                return result

        return respond

    def _create(self, request, context):
        _check_parent(request, context)
        return self.add(request.custom_job)

    def _list(self, request, context):
        _check_parent(request, context)
        if wanted := re.fullmatch(r'display_name="([^"]*)"', request.filter):
            names = [n for n, job in self.jobs.items() if job.display_name == wanted[1]]
        elif wanted := re.fullmatch(r"labels\.([a-z-]+)=([a-z-]+)", request.filter):
            names = [n for n, job in self.jobs.items() if job.labels.get(wanted[1]) == wanted[2]]
        else:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"filter: {request.filter}")
        start = int(request.page_token or 0)
        end = start + self._page_size
        return types.ListCustomJobsResponse(
            custom_jobs=[self._look(name) for name in names[start:end]],
            next_page_token=str(end) if end < len(names) else "",
        )

    def _get(self, request, context):
        return self._look(self._existing(request, context))

    def _cancel(self, request, context):
        name = self._existing(request, context)
        if self.jobs[name].state in _OVER:
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, "the job is over")
        self.jobs[name].state = JobState.JOB_STATE_CANCELLING
        self._to_come[name] = [JobState.JOB_STATE_CANCELLED]
        return Empty()

    def _delete(self, request, context):
        name = self._existing(request, context)
        if self.jobs[name].state not in _OVER:
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, "the job is not over")
        del self.jobs[name]
        operation = Operation(name=f"{name}/operations/1", done=True)
        operation.response.Pack(Empty())
        return operation

    def _existing(self, request, context):
        """Returns the name of the job that a request is for, with the project's number in it."""
        name = request.name.replace(_PARENT, _NUMBERED)
        if name not in self.jobs:
            context.abort(grpc.StatusCode.NOT_FOUND, f"{request.name} does not exist")
        return name

    def _look(self, name):
        job = types.CustomJob.deserialize(types.CustomJob.serialize(self.jobs[name]))
        if self._to_come[name]:
            self.jobs[name].state = self._to_come[name].pop(0)
        return job


def _serialized(message) -> bytes:
    if isinstance(message, Empty | Operation):
        return message.SerializeToString()
    return type(message).serialize(message)


def _check_parent(request, context):
    if request.parent not in (_PARENT, _NUMBERED):
        context.abort(grpc.StatusCode.NOT_FOUND, f"{request.parent} does not exist")


class _Logging(http.server.BaseHTTPRequestHandler):
    """Cloud Logging's entries:list, with pages; a page token is the number of the page."""

    def do_POST(self):
        vertex = self.server.vertex
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        vertex.entry_requests.append({"path": self.path, **request})
        status = vertex.entry_statuses.pop(0) if vertex.entry_statuses else 200
        response = _page(vertex, request)
        if status != 200:
            response = {"error": {"code": status, "message": "injected"}}
        body = json.dumps(response).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def _page(vertex, request):
    """Returns a page of the entries that are not older than the filter's time."""
    _, _, begin = request["filter"].partition('timestamp>="')
    wanted = [entry for entry in vertex.entries if entry["timestamp"] >= begin[:19]]
    wanted.sort(key=lambda entry: entry["timestamp"])
    page, size = int(request.get("pageToken", 0)), request["pageSize"]
    first = (page - vertex.empty_pages) * size
    is_last = first + size >= len(wanted) and page >= vertex.empty_pages
    entries = {"entries": wanted[first : first + size]} if page >= vertex.empty_pages else {}
    return {**entries, **({} if is_last else {"nextPageToken": str(page + 1)})}
