"""The HTTP interface of the service."""

import contextlib
import json
import os
import re
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from typing import Annotated, Any

import anyio
from fastapi import FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, StreamingResponse
from pydantic import BaseModel, Field

import ava_jax
from ava_jax.errors import UserError
from ava_jax.serving.admission import Admission, Full
from ava_jax.serving.metrics import Metrics
from ava_jax.serving.work import Service

_NDJSON = "application/x-ndjson"
_MEGABYTE = 1_000_000
# A key frame holds more than its share of the base64 text of a clip's frames.
_TEXT = 16.0  # megabytes of the body of /clip, at most
_RETRY = "5"  # seconds
_PREFIX = "ava_jax_upload_"


class Person(BaseModel):
    """A person at a key frame."""

    id: int = Field(description="the same number for the same person of a video")
    box: list[float] = Field(description="x1, y1, x2, y2 in pixels")
    actions: dict[str, float] = Field(description="scores of 0.05 or more")


class KeyFrame(BaseModel):
    """A line of the answer to a video."""

    time: float = Field(description="seconds")
    people: list[Person]


class Clip(BaseModel):
    """Frames and boxes to score."""

    frames: list[str] = Field(description="JPEG or PNG files in base64")
    boxes: list[list[float]] = Field(description="x1, y1, x2, y2 in pixels")


class Scores(BaseModel):
    """The answer to a clip."""

    people: list[dict[str, float]] = Field(description="scores of each box's actions")


class Problem(BaseModel):
    """The answer to what cannot be done."""

    error: str


class _TooLarge(Exception):
    pass


_PROBLEMS: dict[type[Exception], tuple[int, str]] = {
    Full: (429, "Too many requests wait; ask again later"),
    _TooLarge: (413, "The body is too large; GET /model has the limits"),
    TimeoutError: (504, "The request took too long and was given up"),
}
_ANSWERS = {status: {"model": Problem} for status in (400, 413, 422, 429, 504)}


def make_app(service: Service) -> FastAPI:
    """The application of a service, for uvicorn.

    Args:
      service: answers; it is closed when the application ends.
    """
    limits = service.limits
    metrics = Metrics(lambda: service.batcher.batches)
    admission = Admission(limits.parallel, limits.queue, metrics)

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        await anyio.to_thread.run_sync(service.batcher.close)

    app = FastAPI(
        title="ava_jax",
        version=ava_jax.__version__,
        description="Actions of people in videos.",
        lifespan=lifespan,
    )
    app.add_middleware(_Counted, metrics=metrics)
    for kind, (status, text) in _PROBLEMS.items():
        app.add_exception_handler(kind, _answer(status, text))
    app.add_exception_handler(UserError, _refuse)
    app.add_exception_handler(RequestValidationError, _answer(422))

    @app.get("/health")
    def health() -> dict[str, str]:
        """Whether the service works; it listens when its model is ready."""
        return {"status": "ok"}

    @app.get("/model")
    def model() -> dict[str, Any]:
        """The model, its actions, and the limits of requests."""
        return service.about()

    @app.get("/metrics", response_class=Response)
    def prometheus() -> Response:
        """Counters in Prometheus' format."""
        return Response(metrics.text(), media_type=metrics.media_type)

    @app.post("/clip", responses=_ANSWERS)
    async def clip(request: Request) -> Scores:
        """Scores the boxes of one clip; the body is a `Clip` in JSON."""
        deadline = time.monotonic() + limits.timeout
        async with admission.place(limits.timeout):
            asked = _clip(await _body(request, min(limits.megabytes, _TEXT)))
            people = await anyio.to_thread.run_sync(
                service.clip, asked.frames, asked.boxes, deadline
            )
        return Scores(people=people)

    @app.post(
        "/video",
        responses=_ANSWERS
        | {200: {"content": {_NDJSON: {"schema": KeyFrame.model_json_schema()}}}},
        response_class=StreamingResponse,
    )
    async def video(
        request: Request,
        every: Annotated[float, Query(ge=0.1, le=60)] = 1.0,
    ) -> StreamingResponse:
        """Scores a video, whose file is the body: a line of JSON for each key frame.

        A line `{"error": ...}` ends the answer if something goes wrong later.
        """
        deadline = time.monotonic() + limits.timeout
        async with contextlib.AsyncExitStack() as stack:
            await stack.enter_async_context(admission.place(limits.timeout))
            path = stack.enter_context(_upload_file())
            await _save(request, path, limits.megabytes)
            lines = service.video(path, every, deadline)
            stack.callback(lines.close)
            # Before the status is sent: it may be no video.
            first = await _next(lines)
            return _Answer(_lines(first, lines), stack.pop_all())

    _describe_bodies(app)
    return app


async def _next(lines: Iterator[dict]) -> dict | None:
    return await anyio.to_thread.run_sync(next, lines, None)


async def _lines(line: dict | None, lines: Iterator[dict]) -> AsyncIterator[str]:
    while line is not None:
        yield json.dumps(line) + "\n"
        try:
            line = await _next(lines)
        except (UserError, TimeoutError) as error:
            text = _in_public(error) or _PROBLEMS[TimeoutError][1]
            yield json.dumps({"error": text}) + "\n"
            return


class _Answer(StreamingResponse):
    """The answer to a video; its file and place are given back in any case."""

    def __init__(self, lines: AsyncIterator[str], kept: contextlib.AsyncExitStack):
        super().__init__(lines, media_type=_NDJSON)
        self._kept = kept

    async def __call__(self, scope, receive, send) -> None:
        async with self._kept:
            await super().__call__(scope, receive, send)


@contextlib.contextmanager
def _upload_file() -> Iterator[str]:
    """A path of our own naming for what a client sends; removed in any case."""
    with tempfile.TemporaryDirectory(prefix=_PREFIX) as folder:
        yield os.path.join(folder, "upload")


async def _chunks(request: Request, megabytes: float) -> AsyncIterator[bytes]:
    """The body as it comes, up to a size that it may not have."""
    declared = request.headers.get("content-length", "")
    most = megabytes * _MEGABYTE
    if declared.isdigit() and int(declared) > most:
        raise _TooLarge
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > most:
            raise _TooLarge
        yield chunk


async def _save(request: Request, path: str, megabytes: float) -> None:
    async with await anyio.open_file(path, "wb") as file:
        async for chunk in _chunks(request, megabytes):
            await file.write(chunk)


async def _body(request: Request, megabytes: float) -> bytes:
    return b"".join([chunk async for chunk in _chunks(request, megabytes)])


def _clip(body: bytes) -> Clip:
    try:
        return Clip.model_validate_json(body)
    except ValueError as error:
        raise RequestValidationError([{"msg": str(error)}]) from error


async def _refuse(request: Request, error: UserError) -> JSONResponse:
    return JSONResponse({"error": _in_public(error)}, 400)


def _in_public(error: Exception) -> str:
    """A message without the path of the upload, which is of no use to a client."""
    return re.sub(rf"\S*{_PREFIX}\S*", "The upload", str(error))


def _answer(status: int, text: str = ""):
    """A handler that tells a client what is wrong."""

    async def answer(request: Request, error: Exception) -> JSONResponse:
        headers = {"Retry-After": _RETRY} if status == 429 else None
        return JSONResponse({"error": text or str(error)}, status, headers)

    return answer


class _Counted:
    """Counts requests, and their seconds until the last byte of the answer."""

    def __init__(self, app: Any, metrics: Metrics):
        self._app, self._metrics = app, metrics

    async def __call__(self, scope, receive, send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        since, status = time.monotonic(), "closed"

        async def watched(message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = str(message["status"])
            await send(message)

        try:
            await self._app(scope, receive, watched)
        finally:
            route = scope.get("route")
            path = route.path if route else "other"  # a client makes up no labels
            self._metrics.requests.labels(path, status).inc()
            self._metrics.seconds.labels(path).observe(time.monotonic() - since)


def _describe_bodies(app: FastAPI) -> None:
    """Adds to OpenAPI the bodies, which are read by hand to be limited."""
    schema = app.openapi()
    schema["paths"]["/video"]["post"]["requestBody"] = {
        "required": True,
        "content": {
            "application/octet-stream": {
                "schema": {"type": "string", "format": "binary"}
            }
        },
    }
    schema["paths"]["/clip"]["post"]["requestBody"] = {
        "required": True,
        "content": {"application/json": {"schema": Clip.model_json_schema()}},
    }
    app.openapi_schema = schema
