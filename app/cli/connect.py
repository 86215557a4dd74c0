"""The client of a command: of a service that runs somewhere, or of the application in this process.

The latter opens no port: its application is behind the client's transport.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import os
from typing import TYPE_CHECKING

import httpx
from anyio.from_thread import start_blocking_portal

from app.cli.exits import UsageError
from vaeserve import Client

if TYPE_CHECKING:
    from app.settings import Settings

_POLL_SECONDS = 0.01


def client_of(options: argparse.Namespace) -> Client:
    """A client, to be closed, of the service that the options name.

    Raises:
        UsageError: the URL, or a setting of the service in this process, is not valid.
    """
    if not options.url:
        transport = InProcess(_settings(options))
        # Nobody else is there to make room later, so one attempt is enough.
        return Client(
            model=options.model, deadline=options.timeout, attempts=1, transport=transport
        )
    if options.repository is not None:
        raise UsageError("--repository can't be combined with --url or VAE_URL")
    try:
        url = httpx.URL(options.url)
    except httpx.InvalidURL as error:
        raise UsageError(f"--url {options.url!r} is not a valid URL: {error}") from error
    if url.scheme not in ("http", "https") or not url.host:
        raise UsageError(f"--url must be like http://localhost:8000, got {options.url!r}")
    return Client(options.url, model=options.model, deadline=options.timeout)


def _settings(options: argparse.Namespace) -> Settings:
    """The settings of a service in this process."""
    # Read when numpy is imported; the lanes share the cores already.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    # Imported late: a command that asks a running service needs none of it.
    from pydantic import ValidationError

    from app.settings import Settings

    logging.basicConfig(level=logging.ERROR, format="vaeserve: %(message)s")
    given = {} if options.repository is None else {"repository": options.repository}
    try:
        settings = Settings(**given)
    except ValidationError as error:
        first = error.errors()[0]
        msg = f"VAE_{str(first['loc'][0]).upper()}: {first['msg']}, got {first['input']!r}"
        raise UsageError(msg) from error
    # A step of a command is as long as its own deadline.
    return settings.model_copy(update={"timeout": options.timeout})


class InProcess(httpx.BaseTransport):
    """Answers requests with the application, which lives on an event loop in a thread of its own.

    Args:
        settings: of the service; whatever they say, it serves alone and follows no changes.
    """

    def __init__(self, settings: Settings) -> None:
        from app.factory import create_app
        from app.http.access_log import LOGGER

        # Its lines would go where the command's own output goes.
        logging.getLogger(LOGGER).setLevel(logging.CRITICAL)
        app = create_app(settings.model_copy(update={"workers": 1, "watch": "off"}))
        self._transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        with contextlib.ExitStack() as stack:
            self._portal = stack.enter_context(start_blocking_portal())
            lifespan = app.router.lifespan_context(app)
            stack.enter_context(self._portal.wrap_async_context_manager(lifespan))
            self._portal.call(self._loaded)
            self._stack = stack.pop_all()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        answer = self._portal.start_task_soon(self._answer, request)
        try:
            return answer.result()
        except TimeoutError as error:
            raise httpx.ReadTimeout("the response took too long") from error
        except BaseException:
            answer.cancel()
            raise

    def close(self) -> None:
        """Ends the application; what still runs gets the settings' grace."""
        self._stack.close()

    async def _loaded(self) -> None:
        """Waits until every model serves or has said why it does not."""
        async with httpx.AsyncClient(transport=self._transport, base_url="http://here") as http:
            while await _is_loading(http):  # noqa: ASYNC110 the service tells nobody
                await asyncio.sleep(_POLL_SECONDS)

    async def _answer(self, request: httpx.Request) -> httpx.Response:
        request.read()
        async with asyncio.timeout(request.extensions["timeout"]["read"]):
            answer = await self._transport.handle_async_request(request)
            body = await answer.aread()
        return httpx.Response(answer.status_code, headers=answer.headers, content=body)


async def _is_loading(http: httpx.AsyncClient) -> bool:
    """Whether there is a model of which it is not known yet what serves, and what does not."""
    ready = (await http.get("/readyz")).json()
    models = (await http.get("/models")).json()["models"]
    return any("still loading" in problem for problem in ready["problems"]) or any(
        version["state"] == "loading" or (not model["ready"] and version["state"] == "unloaded")
        for model in models
        for version in model["versions"]
    )
