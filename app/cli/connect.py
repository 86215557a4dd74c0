"""The service in this process, without a port: its application behind a client's transport."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

import httpx

from app.factory import create_app
from app.http.access_log import LOGGER
from app.settings import Settings

T = TypeVar("T")

_POLL_SECONDS = 0.01
_BASE = "http://in-process"


class InProcess(httpx.BaseTransport):
    """Answers requests with the application, which lives on an event loop in a thread of its own.

    Args:
        settings: of the service; whatever they say, it serves alone and follows no changes.
    """

    def __init__(self, settings: Settings) -> None:
        # Its lines would go where the command's own output goes.
        logging.getLogger(LOGGER).setLevel(logging.CRITICAL)
        alone = settings.model_copy(update={"workers": 1, "watch": "off"})
        self._app = create_app(alone)
        self._transport = httpx.ASGITransport(self._app, raise_app_exceptions=False)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._lifespan = self._app.router.lifespan_context(self._app)
        self._run(self._open())

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        return self._run(self._answer(request))

    def close(self) -> None:
        """Ends the application; what still runs gets the settings' grace."""
        if self._loop.is_closed():
            return
        try:
            self._run(self._lifespan.__aexit__(None, None, None))
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()

    async def _open(self) -> None:
        """Begins the lifespan, and waits until every model serves or has said why it does not."""
        await self._lifespan.__aenter__()
        async with httpx.AsyncClient(transport=self._transport, base_url=_BASE) as http:
            while await _is_loading(http):  # noqa: ASYNC110 the service tells nobody
                await asyncio.sleep(_POLL_SECONDS)

    async def _answer(self, request: httpx.Request) -> httpx.Response:
        content = request.read()
        inner = httpx.Request(request.method, request.url, headers=request.headers, content=content)
        async with asyncio.timeout(request.extensions["timeout"]["read"]):
            answer = await self._transport.handle_async_request(inner)
            body = await answer.aread()
        return httpx.Response(answer.status_code, headers=answer.headers, content=body)

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except TimeoutError as error:
            msg = "the answer took too long"
            raise httpx.ReadTimeout(msg) from error
        except BaseException:
            future.cancel()
            raise


async def _is_loading(http: httpx.AsyncClient) -> bool:
    """Whether there is a model of which it is not known yet what serves, and what does not."""
    ready = (await http.get("/readyz")).json()
    models = (await http.get("/models")).json()["models"]
    return any("still loading" in problem for problem in ready["problems"]) or any(
        version["state"] == "loading" or (not model["ready"] and version["state"] == "unloaded")
        for model in models
        for version in model["versions"]
    )
