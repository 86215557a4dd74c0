"""The whole application behind a real socket, in the test's own event loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
from fastapi import FastAPI
from uvicorn import Config
from uvicorn.server import ServerState

from app.server.http_protocol import BoundedProtocol
from tests.app.serving import loaded, running


@asynccontextmanager
async def live(
    repository: Path, **changes: Any
) -> AsyncIterator[tuple[FastAPI, httpx.AsyncClient]]:
    """The application with its models loaded, and a client that calls it over HTTP."""
    async with running(repository, **changes) as app:
        await loaded(app)
        config = Config(app, ws="none", log_config=None, lifespan="off")
        state = ServerState()
        server = await asyncio.get_running_loop().create_server(
            lambda: BoundedProtocol(
                config=config, server_state=state, app_state={}, ended=lambda: None
            ),
            "127.0.0.1",
            0,
        )
        host, port = server.sockets[0].getsockname()
        try:
            # What the machine has for a proxy is not for this address.
            async with httpx.AsyncClient(
                base_url=f"http://{host}:{port}", trust_env=False, timeout=20
            ) as client:
                yield app, client
        finally:
            server.close()
            for connection in list(state.connections):
                connection.transport.close()
            await asyncio.gather(*state.tasks, return_exceptions=True)
