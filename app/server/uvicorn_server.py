"""A serving process: uvicorn runs the application on bound sockets until a signal stops it."""

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
from app.server.acceptor import Acceptor, keep, listen
from app.server.balancer import WorkerConnections
from app.server.http_protocol import BoundedProtocol
from app.server.memory import trim_periodically
from app.server.worker import Worker
from app.settings import Settings

_YOUNG_OBJECTS = 20_000
"""The garbage collector runs after this many new objects; Python's default is 700."""

_HANDOVER_SECONDS = 0.02
"""How long the hand-off queue stays open after the sockets. Another worker takes microseconds from
choosing this one to handing a connection over, or longer if it loses its core in between."""


class _Server(uvicorn.Server):
    def __init__(
        self,
        config: uvicorn.Config,
        sockets: Sequence[socket.socket],
        listening: Callable[[], None],
        connections: WorkerConnections | None,
    ) -> None:
        super().__init__(config)
        self._bound = sockets
        self._listening = listening
        self._connections = connections

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        # Without sockets, uvicorn starts the application and leaves listening to the acceptors.
        await super().startup([])
        shared = self._connections
        place = shared.place if shared else keep
        acceptors = [Acceptor(listen(bound), self._protocol, place) for bound in self._bound]
        if shared:
            acceptors.append(Acceptor(shared.queue, self._protocol, shared.receive))
        self.servers = cast("list[asyncio.base_events.Server]", acceptors)
        self._listening()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        if self._connections is not None:
            self._connections.leave()
        for acceptor in self.servers[: len(self._bound)]:
            acceptor.close()
        if self._connections is not None:
            # Another worker may have chosen this one before it left.
            await asyncio.sleep(_HANDOVER_SECONDS)
        for acceptor in self.servers:
            acceptor.close()
            await acceptor.wait_closed()
        for _ in range(3):  # so the requests of the last connections are read and count as running
            await asyncio.sleep(0)
        await super().shutdown(sockets)

    def _protocol(self, ended: Callable[[], None]) -> asyncio.Protocol:
        return BoundedProtocol(
            config=self.config,
            server_state=self.server_state,
            app_state=self.lifespan.state,
            ended=ended,
        )


def serve(
    settings: Settings,
    sockets: Sequence[socket.socket],
    *,
    listening: Callable[[], None],
    worker: Worker | None = None,
) -> None:
    """Serves on bound sockets until SIGTERM or SIGINT, and closes them.

    Args:
        settings: settings of the service.
        sockets: bound and not yet listening.
        listening: is called once connections are accepted.
        worker: this process, if it is one of several.

    Raises:
        SystemExit: the server could not start.
    """
    # uvicorn stops on a signal and then raises it again; that must not look like a crash.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, frame: sys.exit(0))
    app = create_app(settings, worker)
    # A full collection visits some 70,000 permanent objects, and responses wait meanwhile.
    gc.collect()
    gc.freeze()
    # At Python's default the collector would run several times a request.
    gc.set_threshold(_YOUNG_OBJECTS)
    trim_periodically()
    config = uvicorn.Config(
        app,
        loop="uvloop",
        http=BoundedProtocol,
        ws="none",
        workers=1,  # else uvicorn reads WEB_CONCURRENCY, which platforms set to `auto`
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=settings.shutdown_grace,
    )
    server = _Server(config, sockets, listening, worker.connections if worker else None)
    server.run([])
    if not server.started:
        sys.exit(1)
