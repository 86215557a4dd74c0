"""What request handlers work with. The factory makes it once and keeps it in `app.state`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Protocol

from fastapi import Depends, Request

from app.concurrency import Offload
from app.inference.admission import Admission
from app.inference.service import Service
from app.metrics import Metrics
from app.registry.broadcast import Link
from app.registry.registry import Registry
from app.settings import Settings


class Worker(Link, Protocol):
    """This process, if it is one of several: what the application needs of `app.server`."""

    number: int
    """Its number, from 1."""
    shared: Path
    """The folder that the workers share."""
    replaces: bool
    """Whether it replaces a worker that died after all were ready."""

    @property
    def is_waiting(self) -> bool:
        """Whether it replaces another worker and takes no connections yet."""

    def problems(self) -> list[str]:
        """Why the service is not ready although this worker may be."""

    async def report(
        self, opening: asyncio.Task[None], ready: Callable[[], bool], refresh: Callable[[], None]
    ) -> None:
        """Reports to the supervisor until it is cancelled."""


@dataclass(frozen=True, slots=True)
class Context:
    """The parts of one server."""

    settings: Settings
    registry: Registry
    service: Service
    offload: Offload
    decoding: Admission
    """Limits the pixels of images that are being decoded or wait for it."""
    inflated: Admission
    """Limits the bytes of compressed bodies."""
    metrics: Metrics
    worker: Worker | None = None
    """This process, if it is one of several."""

    def problems(self) -> list[str]:
        """Why the server is not ready, a sentence for each reason; empty if it is ready."""
        return self.registry.problems() or (self.worker.problems() if self.worker else [])


def context_of(request: Request) -> Context:
    """The parts of the server that received a request."""
    context: Context = request.app.state.context
    return context


async def _context(request: Request) -> Context:
    # FastAPI runs plain functions in a thread.
    return context_of(request)


ContextDep = Annotated[Context, Depends(_context)]
"""The same as a parameter, for routes that need not be fast: FastAPI resolves it in 20 µs."""
