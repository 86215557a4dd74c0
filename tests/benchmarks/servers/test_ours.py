"""Requests to a server that fails."""

from __future__ import annotations

import socket
import threading

import pytest

from benchmarks.load import workloads
from benchmarks.servers.ours import Server, ServerError, System


def test_no_answer_is_the_server_s_failure() -> None:
    """The error for a closed or refused connection names the request."""
    system = System("mute", "any", ())
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def hang_up() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)

        thread = threading.Thread(target=hang_up)
        thread.start()
        server = Server(system, 0, listener.getsockname()[1], 0.0)
        with pytest.raises(ServerError, match="mute sent no response to /sample n=1: "):
            server.ask(workloads.sample())
        thread.join()
    with pytest.raises(ServerError, match="no response to /sample n=1: ConnectionRefused"):
        server.ask(workloads.sample())
