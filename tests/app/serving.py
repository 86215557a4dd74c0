"""The whole application in one process, without a socket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
from fastapi import FastAPI

from app.api.dependencies import Context
from app.factory import create_app
from app.settings import Settings


@asynccontextmanager
async def running(repository: Path | str, **changes: Any) -> AsyncIterator[FastAPI]:
    """The application with its lifespan begun; its models may still be loading."""
    app = create_app(Settings(repository=str(repository), **changes))
    async with app.router.lifespan_context(app):
        yield app


@asynccontextmanager
async def serving(repository: Path | str, **changes: Any) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the application, once its models are loaded or have failed."""
    async with running(repository, **changes) as app:
        await loaded(app)
        async with client_of(app) as client:
            yield client


def client_of(app: FastAPI) -> httpx.AsyncClient:
    """A client that calls the application directly."""
    transport = httpx.ASGITransport(app=app, client=("192.0.2.7", 1234))
    return httpx.AsyncClient(transport=transport, base_url="http://test")


def context_of(app: FastAPI) -> Context:
    context: Context = app.state.context
    return context


async def loaded(app: FastAPI) -> None:
    """Returns when the registry has nothing left to load."""
    registry = context_of(app).registry

    def waits() -> bool:
        versions = [one for model in registry.models.values() for one in model.versions]
        return any("still loading" in problem for problem in registry.problems()) or any(
            version.state == "loading" for version in versions
        )

    while waits():  # noqa: ASYNC110 the registry tells nobody, nor does the server wait
        await asyncio.sleep(0.005)
