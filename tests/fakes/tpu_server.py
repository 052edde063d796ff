"""A Cloud TPU service for tests: queued resources over gRPC, with the service's own messages.

    with TpuServer() as server:
        remote = TARGET.connect(options, channel=server.channel())
        server.fail(grpc.StatusCode.UNAVAILABLE, "CreateQueuedResource", after=True)
        ...
        server.move("imdb", "ACTIVE")

A new resource is WAITING_FOR_RESOURCES, and `move` changes its state. Once its deletion is
requested, it can be read `looks_to_delete` more times.
"""

import re
import threading
from concurrent import futures
from datetime import datetime, timezone
from typing import NamedTuple

import grpc
from google.cloud.tpu_v2.types import cloud_tpu
from google.longrunning import operations_pb2
from google.protobuf import empty_pb2

from tests.deploy.targets.required_fields import missing

_SERVICE = "google.cloud.tpu.v2.Tpu"
_ID = r"[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?"
State = cloud_tpu.QueuedResourceState.State


class Call(NamedTuple):
    """A request that the service received."""

    method: str
    request: object


class _Fault(NamedTuple):
    code: grpc.StatusCode
    method: str
    text: str
    after: bool  # the request is carried out before the call fails
    page: str  # only the request for this page; "" for each request


class _Refused(Exception):
    """A status other than OK."""

    def __init__(self, code: grpc.StatusCode, text: str):
        super().__init__(text)
        self.code = code


class TpuServer:
    """The service on a port of this machine, while a `with` lasts."""

    def __init__(self, looks_to_delete: int = 0):
        self.resources: dict[str, cloud_tpu.QueuedResource] = {}
        self.log: list[Call] = []
        self.created = 0
        self._looks_to_delete = looks_to_delete
        self._looks: dict[str, int] = {}  # how often a resource being deleted can still be read
        self._faults: list[_Fault] = []
        self._lock = threading.Lock()
        self._channels: list[grpc.Channel] = []
        self._server = grpc.server(futures.ThreadPoolExecutor(2))
        self._server.add_generic_rpc_handlers([self._handlers()])
        self._port = self._server.add_insecure_port("127.0.0.1:0")

    def __enter__(self) -> "TpuServer":
        self._server.start()
        return self

    def __exit__(self, *exception) -> None:
        for channel in self._channels:
            channel.close()
        self._server.stop(grace=None).wait()

    def channel(self) -> grpc.Channel:
        """Opens a connection for a client."""
        self._channels.append(grpc.insecure_channel(f"127.0.0.1:{self._port}"))
        return self._channels[-1]

    def fail(
        self, code: grpc.StatusCode, method: str, text: str = "says the test", *, times: int = 1,
        after: bool = False, page: str = "",
    ) -> None:  # fmt: skip
        """Makes the next calls of a method fail, before or after they are carried out."""
        self._faults += [_Fault(code, method, text, after, page)] * times

    def move(self, name: str, state: str, error: str = "", code: int = 0) -> None:
        """Sets the state of a resource."""
        with self._lock:
            (resource,) = (r for n, r in self.resources.items() if n.endswith(f"/{name}"))
            resource.state = cloud_tpu.QueuedResourceState(state=State[state])
            if error:
                resource.state.failed_data.error.message = error
                resource.state.failed_data.error.code = code

    def methods(self) -> list[str]:
        """Returns the names of the methods that were called, in order."""
        return [call.method for call in self.log]

    def _handlers(self) -> grpc.GenericRpcHandler:
        calls = {
            "CreateQueuedResource": (cloud_tpu.CreateQueuedResourceRequest, self._create),
            "GetQueuedResource": (cloud_tpu.GetQueuedResourceRequest, self._get),
            "ListQueuedResources": (cloud_tpu.ListQueuedResourcesRequest, self._list),
            "DeleteQueuedResource": (cloud_tpu.DeleteQueuedResourceRequest, self._delete),
        }
        handlers = {
            method: grpc.unary_unary_rpc_method_handler(
                self._handler(method, do), kind.deserialize, _serialized
            )
            for method, (kind, do) in calls.items()
        }
        return grpc.method_handlers_generic_handler(_SERVICE, handlers)

    def _handler(self, method: str, do):
        def respond(request, context):
            try:
                with self._lock:
                    return self._respond(method, do, request)
            except _Refused as refusal:
                context.abort(refusal.code, str(refusal))

        return respond

    def _respond(self, method: str, do, request):
        self.log.append(Call(method, request))
        page = getattr(request, "page_token", "")
        fault = next((f for f in self._faults if f.method == method and f.page in ("", page)), None)
        if fault:
            self._faults.remove(fault)
        if fault and not fault.after:
            raise _Refused(fault.code, fault.text)
        if fields := missing(request):
            raise _Refused(
                grpc.StatusCode.INVALID_ARGUMENT, f"required and missing: {', '.join(fields)}"
            )
        response = do(request)
        if fault:
            raise _Refused(fault.code, fault.text)
        return response

    def _create(self, request: cloud_tpu.CreateQueuedResourceRequest) -> operations_pb2.Operation:
        name = f"{request.parent}/queuedResources/{request.queued_resource_id}"
        if not re.fullmatch(_ID, request.queued_resource_id):
            raise _Refused(grpc.StatusCode.INVALID_ARGUMENT, "queued_resource_id is malformed")
        if name in self.resources:
            raise _Refused(grpc.StatusCode.ALREADY_EXISTS, f"Resource '{name}' already exists")
        resource = cloud_tpu.QueuedResource(request.queued_resource)
        resource.name = name
        resource.state = cloud_tpu.QueuedResourceState(state=State.WAITING_FOR_RESOURCES)
        resource.create_time = datetime.fromtimestamp(self.created, timezone.utc)
        self.resources[name] = resource
        self.created += 1
        operation = operations_pb2.Operation(name=f"{request.parent}/operations/create")
        operation.metadata.Pack(cloud_tpu.OperationMetadata.pb(cloud_tpu.OperationMetadata()))
        return operation

    def _get(self, request: cloud_tpu.GetQueuedResourceRequest) -> cloud_tpu.QueuedResource:
        resource = self._existing(request.name)
        if request.name in self._looks:
            self._looks[request.name] -= 1
            self._drop_deleted(request.name)
        return resource

    def _list(
        self, request: cloud_tpu.ListQueuedResourcesRequest
    ) -> cloud_tpu.ListQueuedResourcesResponse:
        """Returns the resources of a place, one on each page."""
        names = [name for name in self.resources if name.startswith(f"{request.parent}/")]
        start = int(request.page_token or 0)
        more = str(start + 1) if start + 1 < len(names) else ""
        return cloud_tpu.ListQueuedResourcesResponse(
            queued_resources=[self.resources[name] for name in names[start : start + 1]],
            next_page_token=more,
        )

    def _delete(self, request: cloud_tpu.DeleteQueuedResourceRequest) -> operations_pb2.Operation:
        resource = self._existing(request.name)
        if not request.force and resource.state.state in (State.ACTIVE, State.PROVISIONING):
            raise _Refused(grpc.StatusCode.FAILED_PRECONDITION, "it has nodes; give force")
        resource.state = cloud_tpu.QueuedResourceState(state=State.DELETING)
        self._looks[request.name] = self._looks_to_delete
        self._drop_deleted(request.name)
        operation = operations_pb2.Operation(name=f"{request.name}/operations/delete")
        operation.response.Pack(empty_pb2.Empty())
        return operation

    def _drop_deleted(self, name: str) -> None:
        if not self._looks[name]:
            del self._looks[name], self.resources[name]

    def _existing(self, name: str) -> cloud_tpu.QueuedResource:
        if name not in self.resources:
            raise _Refused(grpc.StatusCode.NOT_FOUND, f"Resource '{name}' was not found")
        return self.resources[name]


def _serialized(message) -> bytes:
    if isinstance(message, operations_pb2.Operation):
        return message.SerializeToString()
    return type(message).serialize(message)
