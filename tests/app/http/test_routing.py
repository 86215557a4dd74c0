"""HEAD is GET without the content, and the log still says HEAD."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from app.errors import ServiceError
from app.http import problems
from app.http.routing import VerbDispatch, VerbRoute
from tests.app.loops import in_loop
from tests.app.serving import serving


@in_loop
async def test_head_has_the_headers_of_get(
    repository: Path, caplog: pytest.LogCaptureFixture, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    """Status, type and length are those of GET; the access log names the method that was sent."""
    caplog.set_level(logging.INFO, "vaeserve.access")
    async with serving(repository) as client:
        head, get = await client.head("/models"), await client.get("/models")
    for name in ("content-type", "content-length"):
        assert head.headers[name] == get.headers[name]
    lines = [json.loads(line) for line in capfdbinary.readouterr().out.splitlines()]
    assert [line["method"] for line in lines] == ["HEAD", "GET"]


@in_loop
async def test_head_where_there_is_no_get(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A verb refuses HEAD by that name, in the document that its length is of."""
    details: list[str] = []
    error_answer = problems.error_answer

    def keep(scope: Scope, error: ServiceError, *members: Any) -> Response:
        details.append(error.detail)
        return error_answer(scope, error, *members)

    monkeypatch.setattr(problems, "error_answer", keep)
    async with serving(repository) as client:
        assert (await client.head("/sample")).status_code == 405
        assert (await client.put("/sample")).status_code == 405
    assert details == ["/sample does not support HEAD", "/sample does not support PUT"]


@in_loop
async def test_only_posts_to_a_verb_pass_by_the_router() -> None:
    """A route whose path has a parameter, another method and another path go through the router."""

    async def answer(request: Request) -> Response:
        return Response(request.scope["route"].path)

    async def router(scope: Scope, receive: Receive, send: Send) -> None:
        await Response("router")(scope, receive, send)

    routes = [
        VerbRoute("/sample", answer, methods=["POST"]),
        VerbRoute("/models/{name}/infer", answer, methods=["POST"]),
    ]
    app = VerbDispatch(router, routes)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://x") as client:
        assert (await client.post("/sample")).text == "/sample"
        for method, path in (
            ("GET", "/sample"),
            ("POST", "/other"),
            ("POST", "/models/{name}/infer"),
        ):
            assert (await client.request(method, path)).text == "router"
