"""Every error, over HTTP: one shape, the status of the table, and OpenAPI that agrees."""

from __future__ import annotations

import asyncio
import base64
import io
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image

from app import errors
from app.errors import (
    STATUS,
    BodyTimeoutError,
    BodyTooLargeError,
    DeadlineExceededError,
    EngineFailedError,
    ImageTooLargeError,
    ModelUnavailableError,
    NotFoundError,
    QueueFullError,
    ServiceError,
    ShuttingDownError,
)
from app.http import problems
from app.inference.engine import Engine
from app.inference.service import Service
from tests.app.loops import in_loop
from tests.app.serving import client_of, context_of, loaded, running, serving

Send = Callable[[httpx.AsyncClient], Awaitable[httpx.Response]]

NOT_OF_A_VERB = {"not_found", "method_not_allowed", "client_disconnected"}
"""Codes that belong to no route, or that nobody is there to read."""
OF_THE_INFERENCE_PROTOCOL = {"forbidden", "not_implemented"}

VERBS = ("/sample", "/encode", "/decode", "/reconstruct", "/score")


def image(size: int) -> str:
    file = io.BytesIO()
    Image.new("L", (size, size)).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


def post(path: str, **arguments: Any) -> Send:
    return lambda client: client.post(path, **arguments)


REQUESTS: dict[str, tuple[Send, str | None]] = {
    "malformed_request": (post("/sample", content=b"{", headers={"Content-Type": ""}), "body"),
    "unknown_model": (post("/sample?model=absent"), "model"),
    "not_found": (post("/nothing"), None),
    "method_not_allowed": (lambda client: client.get("/sample"), None),
    "not_acceptable": (post("/sample", headers={"Accept": "text/html"}), "Accept"),
    "body_too_large": (post("/sample", content=b" " * 3000), "body"),
    "unsupported_media_type": (
        post("/encode", content=b"x", headers={"Content-Type": "text/plain"}),
        "Content-Type",
    ),
    "invalid_field": (post("/sample", json={"n": 0}), "n"),
    "invalid_picture": (post("/encode", json={"images": ["AAAA"]}), "images"),
    "picture_too_large": (post("/encode", json={"images": [image(40)]}), "images"),
    "request_too_large": (post("/sample", json={"n": 60}), None),
}
"""What brings about each error that a request alone can, and the field that it names."""


def check(answer: httpx.Response, code: str, field: str | None = None) -> dict[str, Any]:
    """The document of a problem, after its shape was checked."""
    document: dict[str, Any] = answer.json()
    assert document["code"] == code
    assert answer.status_code == document["status"] == STATUS[code]
    assert answer.headers["content-type"] == "application/problem+json"
    assert document["type"] == f"urn:vaeserve:problem:{code}"
    assert document["title"] == problems.title(code)
    assert len(document["detail"]) > 10
    assert document["request_id"] == answer.headers["x-request-id"]
    assert document.get("field") == field
    known = {"type", "title", "status", "detail", "code", "request_id", "field", "index", "bound"}
    assert set(document) <= known
    return document


@pytest.mark.parametrize("code", REQUESTS)
@in_loop
async def test_a_bad_request_is_a_problem_document(repository: Path, code: str) -> None:
    """Each error that a request can bring about has the one shape, whatever `Accept` says."""
    send, field = REQUESTS[code]
    limits = {"max_body_bytes": 2048, "max_picture_pixels": 900, "queue_pixels": 800}
    async with serving(repository, **limits) as client:
        check(await send(client), code, field)


RAISED: dict[type[ServiceError], dict[str, Any]] = {
    QueueFullError: {"retry_after": 1},
    ShuttingDownError: {},
    EngineFailedError: {},
    DeadlineExceededError: {"limit": 3.5},
    BodyTimeoutError: {},
    ModelUnavailableError: {"retry_after": 5},
    BodyTooLargeError: {"limit": 7},
    ImageTooLargeError: {"index": 2, "limit": 9},
}


def _all_errors() -> list[type[ServiceError]]:
    members = vars(errors).values()
    return [
        member
        for member in members
        if isinstance(member, type) and issubclass(member, ServiceError) and member != ServiceError
    ]


@pytest.mark.parametrize("error", _all_errors(), ids=lambda error: error.code)
@in_loop
async def test_every_error_that_a_verb_raises_is_its_problem(
    repository: Path, monkeypatch: pytest.MonkeyPatch, error: type[ServiceError]
) -> None:
    """Whatever domain error leaves the service, its code gives the status and its members show."""
    members = RAISED.get(error, {})

    async def fail(*args: object, **options: object) -> None:
        raise error("a sentence about it", field="n", **members)

    monkeypatch.setattr(Service, "sample", fail)
    async with serving(repository) as client:
        answer = await client.post("/sample", json={})
    document = check(answer, error.code, "n")
    assert document["detail"] == "a sentence about it"
    for name, member in (("index", "index"), ("limit", "bound")):
        assert document.get(member) == members.get(name)
    assert answer.headers.get("retry-after") == (
        str(members["retry_after"]) if "retry_after" in members else None
    )


@in_loop
async def test_an_unexpected_failure_tells_nothing_of_its_insides(
    repository: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A defect is a 500 with a request id under which the log has the traceback; others go on."""

    async def fail(*args: object, **options: object) -> None:
        raise ZeroDivisionError("secret")

    async with serving(repository) as client:
        with monkeypatch.context() as patch:
            patch.setattr(Service, "sample", fail)
            answer = await client.post("/sample", headers={"X-Request-ID": "abc"})
        document = check(answer, "internal")
        assert "secret" not in answer.text
        assert document["request_id"] == "abc"
        assert (await client.post("/sample")).status_code == 200
    assert "ZeroDivisionError: secret" in caplog.text


@in_loop
async def test_a_full_queue_answers_at_once_with_retry_after(repository: Path) -> None:
    """With the queue taken a request is refused now, 429 with `Retry-After`."""
    async with running(repository, queue_pixels=100) as app:
        await loaded(app)
        admission = context_of(app).service.admission
        async with client_of(app) as client:
            with admission.admit(100):
                answer = await client.post("/sample")
                assert admission.used == 100
            check(answer, "queue_full")
            assert answer.headers["retry-after"] == "1"
            assert (await client.post("/sample")).status_code == 200
            assert admission.used == 0


@in_loop
async def test_a_failing_graph_is_one_callers_error(repository: Path) -> None:
    """When the engine's graph raises once, that request gets a 500 and the next is answered."""
    async with running(repository) as app:
        await loaded(app)
        engine = context_of(app).registry.engine(None)
        graph = engine.decode._run
        _replace_run(engine, _raise)
        async with client_of(app) as client:
            answer = await client.post("/sample")
            document = check(answer, "engine_failed")
            assert "segfault" not in document["detail"]
            _replace_run(engine, graph)
            assert (await client.post("/sample")).status_code == 200


def _raise(rows: object) -> Any:
    raise RuntimeError("segfault")


def _replace_run(engine: Engine, run: Any) -> None:
    engine.decode._run = run


@in_loop
async def test_nothing_serves_before_the_models_are_loaded(tmp_path: Path) -> None:
    """A verb before loading ends is a 503 with `Retry-After`, and without bundles it stays one."""
    async with running(tmp_path) as app, client_of(app) as client:
        early = await client.post("/sample")
        check(early, "model_unavailable", early.json().get("field"))
        assert early.headers["retry-after"]
        await loaded(app)
        late = await client.post("/sample")
        assert str(tmp_path) in check(late, "model_unavailable", "model")["detail"]


@in_loop
async def test_a_verb_beyond_the_deadline_is_given_up(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A verb that does not end is cancelled at the deadline, and its permit comes back."""

    async def stuck(self: Service, *args: object, **options: object) -> None:
        with self.admission.admit(1):
            await asyncio.Event().wait()

    monkeypatch.setattr(Service, "sample", stuck)
    async with running(repository, timeout=0.05) as app:
        await loaded(app)
        async with client_of(app) as client:
            document = check(await client.post("/sample"), "deadline_exceeded")
        assert document["bound"] == 0.05
        assert context_of(app).service.admission.used == 0


@in_loop
async def test_a_body_that_does_not_come_is_given_up(repository: Path) -> None:
    """A body that has not arrived by the deadline is a 408 that closes the connection."""

    async def slow() -> Any:
        yield b"{"
        await asyncio.Event().wait()

    async with serving(repository, timeout=0.05) as client:
        answer = await client.post("/sample", content=slow())
    check(answer, "body_timeout")
    assert "close" in answer.headers["connection"]


def listed(document: dict[str, Any], path: str, method: str = "post") -> set[str]:
    """The error codes that OpenAPI names for a route."""
    codes: set[str] = set()
    for status, response in document["paths"][path][method]["responses"].items():
        if "application/problem+json" in response.get("content", {}):
            named = {part.split("`")[1] for part in response["description"].split("; ")}
            assert {STATUS[code] for code in named} == {int(status)}
            codes |= named
    return codes


@in_loop
async def test_openapi_and_the_table_and_the_errors_agree(repository: Path) -> None:
    """Every code has a status, every code of a verb is in OpenAPI, and OpenAPI has no other."""
    raised = {error.code for error in _all_errors()} | {"internal"}
    assert set(STATUS) == raised
    async with serving(repository) as client:
        document = (await client.get("/openapi.json")).json()
    told = set.union(*(listed(document, path) for path in VERBS))
    assert told == set(STATUS) - NOT_OF_A_VERB - OF_THE_INFERENCE_PROTOCOL
    assert listed(document, "/models/{name}", "get") == {"unknown_model"}
    images = {"invalid_picture", "picture_too_large"}
    assert listed(document, "/encode") - listed(document, "/decode") == images
    assert listed(document, "/sample") == listed(document, "/encode")
    assert listed(document, "/reconstruct") - listed(document, "/encode") == {
        "unsupported_by_model"
    }


@pytest.mark.parametrize("code", sorted(set(REQUESTS) - NOT_OF_A_VERB))
@in_loop
async def test_openapi_lists_what_a_route_answers(repository: Path, code: str) -> None:
    """An error that a request brought about stands in OpenAPI at that route."""
    limits = {"max_body_bytes": 2048, "max_picture_pixels": 900, "queue_pixels": 800}
    async with serving(repository, **limits) as client:
        answer = await REQUESTS[code][0](client)
        document = (await client.get("/openapi.json")).json()
    assert code in listed(document, answer.request.url.path)


@in_loop
async def test_head_and_options_are_sane(repository: Path) -> None:
    """HEAD is taken where GET is; other methods are told which one is."""
    async with serving(repository) as client:
        assert (await client.head("/livez")).status_code == 200
        assert (await client.head("/models")).status_code == 200
        for answer in (await client.options("/sample"), await client.put("/sample")):
            check(answer, "method_not_allowed")
            assert answer.headers["allow"] == "POST"
        slash = await client.post("/sample/")
        check(slash, "not_found")


def test_members_that_do_not_apply_are_left_out() -> None:
    """A problem document has no null members."""
    answer = problems.error_answer({"path": "/"}, NotFoundError("nothing here", limit=3))
    assert json.loads(bytes(answer.body)) == {
        "type": "urn:vaeserve:problem:not_found",
        "title": "Not found",
        "status": 404,
        "detail": "nothing here",
        "code": "not_found",
        "bound": 3,
    }
