"""What a request handler works with, made once by the factory and kept in `app.state`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from app.concurrency import Offload
from app.inference.admission import Admission
from app.inference.service import Service
from app.inference.streaming import Streams
from app.metrics import Metrics
from app.protocols.oip.statistics import Statistics
from app.registry.registry import Registry
from app.server.worker import Worker
from app.settings import Settings


@dataclass(frozen=True, slots=True)
class Context:
    """The parts of one server."""

    settings: Settings
    registry: Registry
    service: Service
    streams: Streams
    offload: Offload
    decoding: Admission
    """Bounds the pixels of the images that are decoded, or wait for it."""
    inflated: Admission
    """Bounds the bytes of bodies that came compressed."""
    metrics: Metrics
    statistics: Statistics
    worker: Worker | None = None
    """This process, where it is one of several."""

    def problems(self) -> list[str]:
        """Why the server is not ready, a sentence for each reason; empty when it is."""
        return self.registry.problems() or (self.worker.problems() if self.worker else [])


def context_of(request: Request) -> Context:
    """The parts of the server that a request has come to."""
    context: Context = request.app.state.context
    return context


async def _context(request: Request) -> Context:
    # FastAPI runs plain functions in a thread.
    return context_of(request)


ContextDep = Annotated[Context, Depends(_context)]
"""The same as a parameter, for routes that need not be fast: FastAPI takes 20 µs to resolve it."""
