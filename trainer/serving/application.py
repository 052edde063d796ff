"""The server's routes: TensorFlow Serving's REST interface, a page, health and metrics.

    app = application(model, "longhaul", config.serving, metrics)

Every answer that is an error has the body {"error": "..."}. The interface is that of
https://www.tensorflow.org/tfx/serving/api_rest; of its calls `predict`, the model's status and its
metadata are here.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import ml_collections
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from trainer.pages import page
from trainer.serving import body, model_description, predict_request, review_page
from trainer.serving.batcher import Batcher
from trainer.serving.host_check import HostCheck
from trainer.serving.metrics import Metrics
from trainer.serving.observer import Observer
from trainer.serving.served_model import ServedModel

_T = TypeVar("_T")
_STYLE = Path(page.__file__).parent / "templates" / "style.css"  # that of all pages
_RETRY = {"retry-after": "1"}  # seconds
_CLIENT_LEFT = 499  # as nginx counts them; nobody receives it


def application(
    model: ServedModel,
    name: str,
    limits: ml_collections.ConfigDict,
    metrics: Metrics,
    hosts: Sequence[str] = (),
) -> Starlette:
    """Returns the application of a model with this name; `limits` is config.serving.

    `hosts` are as for HostCheck. `state.is_ready` of the application is what GET /readyz answers.
    """
    endpoints = _Endpoints(model, name, limits, metrics)
    app = Starlette(
        routes=endpoints.routes(),
        lifespan=endpoints.lifespan,
        middleware=[
            Middleware(Observer, metrics=metrics),
            Middleware(HostCheck, hosts=hosts),
        ],
        exception_handlers={
            HTTPException: endpoints.refuse,
            ClientDisconnect: _on_client_left,
            Exception: _on_fault,
        },
    )
    app.router.redirect_slashes = False
    return app


class _Endpoints:
    """The functions behind the routes; the names of the public ones are routes in the metrics."""

    def __init__(
        self,
        model: ServedModel,
        name: str,
        limits: ml_collections.ConfigDict,
        metrics: Metrics,
    ):
        self._model, self._name, self._limits, self._metrics = model, name, limits, metrics
        self._predicting = ThreadPoolExecutor(1, "predict")
        # An explanation takes seconds, for which no prediction should wait.
        self._explaining = ThreadPoolExecutor(1, "explain")
        self._turn_to_explain = asyncio.Lock()
        self._batcher = Batcher(model.predict, limits, self._predicting, metrics)
        self._running = 0  # requests

    @contextlib.asynccontextmanager
    async def lifespan(self, app: Starlette) -> AsyncIterator[None]:
        """Predicts while the application runs."""
        batches = asyncio.create_task(self._batcher.run())
        app.state.is_ready = True
        yield
        batches.cancel()
        for worker in (self._predicting, self._explaining):
            worker.shutdown(wait=False, cancel_futures=True)

    def routes(self) -> list[Route | Mount]:
        """Returns the routes; the model's name and version are parts of their paths."""
        routes: list[Route | Mount] = [
            Route("/", self.index),
            Route("/explain", self.explain, methods=["POST"]),
            Route("/healthz", self.healthz),
            Route("/readyz", self.readyz),
            Route("/metrics", self.metrics),
            Route("/static/style.css", self.style),
            Mount("/static", StaticFiles(directory=review_page.STATIC)),
        ]
        model = f"/v1/models/{self._name}"
        for path in (model, f"{model}/versions/{self._model.version}"):
            routes.append(Route(path, self.status))
            routes.append(Route(f"{path}/metadata", self.metadata))
            routes.append(Route(f"{path}:predict", self.predict, methods=["POST"]))
        return routes

    async def predict(self, request: Request) -> Response:
        """Answers with the labels and probabilities of texts."""
        with self._admitted():
            due = self._due()
            content = await body.read(request, self._limits)
            asked = predict_request.parse(content, self._limits)
            rows = await self._in_time(request, self._batcher.predict(asked.texts), due)
        return JSONResponse(asked.answer(self._model.labels, rows))

    async def explain(self, request: Request) -> Response:
        """Answers with what the page shows of a review; one at a time."""
        with self._admitted():
            due = self._due()
            content = await body.read(request, self._limits)
            text = review_page.parse(content, self._limits)
            explained = await self._in_time(request, self._explained(text), due)
        return JSONResponse(explained.answer())

    async def _explained(self, text: str) -> review_page.Explained:
        async with self._turn_to_explain:  # of an export, each is hundreds of texts in memory
            return await review_page.explained(self._model, self._batcher, self._explaining, text)

    async def status(self, request: Request) -> Response:
        """Answers that the model's version is available."""
        return JSONResponse(model_description.status(self._model.version))

    async def metadata(self, request: Request) -> Response:
        """Answers with the model's inputs and outputs."""
        return JSONResponse(model_description.metadata(self._name, self._model.version))

    async def healthz(self, request: Request) -> Response:
        """Answers, which is all that a check of the process's health asks."""
        return JSONResponse({"status": "alive"})

    async def readyz(self, request: Request) -> Response:
        """Answers 200 while requests are welcome, 503 once the server stops."""
        if request.app.state.is_ready:
            return JSONResponse({"status": "ready"})
        raise HTTPException(503, "the server stops", _RETRY)

    async def metrics(self, request: Request) -> Response:
        """Answers with the metrics for Prometheus."""
        return Response(self._metrics.text(), media_type=CONTENT_TYPE_LATEST)

    async def index(self, request: Request) -> Response:
        """Answers with the page."""
        return HTMLResponse(review_page.index(self._model, self._name))

    async def style(self, request: Request) -> Response:
        """Answers with the style of all pages."""
        return FileResponse(_STYLE)

    async def refuse(self, request: Request, error: Exception) -> Response:
        """Answers with an HTTPException."""
        if not isinstance(error, HTTPException):
            raise error
        message = error.detail
        if error.status_code == 405:
            message = f"{request.method} is not accepted here"
        elif error.status_code == 404:
            served = f"/v1/models/{self._name}, version {self._model.version}"
            message = f"nothing is at {request.scope['path'][:200]!r}; served is {served}"
        return JSONResponse({"error": message}, error.status_code, error.headers)

    @contextlib.contextmanager
    def _admitted(self) -> Iterator[None]:
        """Counts a request while it runs; HTTPException 503 when too many run."""
        if self._running >= self._limits.max_requests:
            raise HTTPException(503, f"{self._running:,} requests run; try again later", _RETRY)
        self._running += 1
        try:
            yield
        finally:
            self._running -= 1

    def _due(self) -> float:
        return asyncio.get_running_loop().time() + self._limits.timeout_seconds

    async def _in_time(self, request: Request, work: Coroutine[Any, Any, _T], due: float) -> _T:
        """Returns the result of `work`, which is cancelled at the time `due`.

        Raises HTTPException 504 then, and ClientDisconnect as soon as the client has left.
        """
        answer = asyncio.ensure_future(work)
        client = asyncio.ensure_future(request.receive())  # returns when the client leaves
        left = due - asyncio.get_running_loop().time()
        try:
            await asyncio.wait({answer, client}, timeout=left, return_when=asyncio.FIRST_COMPLETED)
            if answer.done():
                return answer.result()
            if client.done():
                raise ClientDisconnect
            message = f"no answer within {self._limits.timeout_seconds:g} seconds"
            raise HTTPException(504, message, _RETRY)
        finally:
            answer.cancel()
            client.cancel()


async def _on_client_left(request: Request, error: Exception) -> Response:
    return Response(status_code=_CLIENT_LEFT)


async def _on_fault(request: Request, error: Exception) -> Response:
    # Starlette raises the error again; uvicorn then logs it and closes the connection.
    message = "the server has a fault, which its log tells"
    return JSONResponse({"error": message}, 500, {"connection": "close"})
