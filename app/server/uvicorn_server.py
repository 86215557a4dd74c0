"""A serving process: the application on its sockets until it is told to stop."""

from __future__ import annotations

import asyncio
import gc
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from typing import cast

import uvicorn

from app.factory import create_app
from app.server.acceptor import Listener, keep, listen
from app.server.balancer import Share
from app.server.http_protocol import BoundedProtocol
from app.server.memory import trim_now_and_then
from app.server.worker import Worker
from app.settings import Settings

_YOUNG_OBJECTS = 20_000
"""After so many new objects the collector looks for cycles; Python's default is 700."""

_HANDOVER_SECONDS = 0.02
"""How long the inbox stays open after the sockets. Between finding the lightest worker and putting
a connection into its inbox there are microseconds, unless another process gets the core then."""


class _Server(uvicorn.Server):
    def __init__(
        self,
        config: uvicorn.Config,
        sockets: Sequence[socket.socket],
        listening: Callable[[], None],
        share: Share | None,
    ) -> None:
        super().__init__(config)
        self._bound = sockets
        self._listening = listening
        self._share = share

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        # With no socket at all it starts the application, and leaves listening to others.
        await super().startup([])
        sockets = [listen(bound) for bound in self._bound]
        share = self._share
        settle = share.settle if share else keep
        listeners = [Listener(sock, self._protocol, settle) for sock in sockets]
        if share:
            listeners.append(Listener(share.inbox, self._protocol, share.receive))
        self.servers = cast("list[asyncio.base_events.Server]", listeners)
        self._listening()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        if self._share is not None:
            self._share.leave()
        for listener in self.servers[: len(self._bound)]:
            listener.close()
        if self._share is not None:
            # Another worker may be about to hand over, and not know yet that this one leaves.
            await asyncio.sleep(_HANDOVER_SECONDS)
        for listener in self.servers:
            listener.close()
            await listener.wait_closed()
        await _turn()  # a request that came with the last connections is under way now
        await super().shutdown(sockets)

    def _protocol(self, ended: Callable[[], None]) -> asyncio.Protocol:
        return BoundedProtocol(
            config=self.config,
            server_state=self.server_state,
            app_state=self.lifespan.state,
            ended=ended,
        )


async def _turn() -> None:
    """Lets everything that is readable be read."""
    for _ in range(3):
        await asyncio.sleep(0)


def serve(
    settings: Settings,
    sockets: Sequence[socket.socket],
    *,
    listening: Callable[[], None],
    worker: Worker | None = None,
) -> None:
    """Serves on bound sockets until SIGTERM or SIGINT, and closes them.

    Args:
        settings: of the service.
        sockets: bound and not yet listening.
        listening: called once connections are taken.
        worker: this process, where it is one of several.

    Raises:
        SystemExit: it could not start.
    """
    # uvicorn stops on the signal, then raises it again: a clean stop must not look like a crash.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, frame: sys.exit(0))
    app = create_app(settings, worker)
    # A full collection walks some 70,000 objects that stay for good, and answers wait meanwhile.
    gc.collect()
    gc.freeze()
    # The few hundred objects of a young generation would be walked several times a request.
    gc.set_threshold(_YOUNG_OBJECTS)
    trim_now_and_then()
    config = uvicorn.Config(
        app,
        loop="uvloop",
        http=BoundedProtocol,
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=settings.shutdown_grace,
    )
    server = _Server(config, sockets, listening, worker.share if worker else None)
    server.run([])
    if not server.started:
        sys.exit(1)
