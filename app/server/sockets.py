"""Sockets on the service's address, which several workers can share."""

from __future__ import annotations

import contextlib
import errno
import socket
from collections.abc import Iterator, Sequence


class PortError(Exception):
    """The service can't listen on its address; the message says why."""


def reserve(host: str, port: int) -> list[socket.socket]:
    """Binds every address of a host, so no other program gets the port; does not listen yet.

    Args:
        host: a name or an address; empty means all interfaces.
        port: 0 chooses a free port, the same for all addresses.

    Raises:
        PortError: another program listens there, even one that would share the port, or this
            machine does not have the address.
    """
    with _explaining(_join(host, port)):
        return _bind_all(host, port)


def share(reserved: Sequence[socket.socket]) -> None:
    """Lets `join` bind the same addresses. The reserved sockets keep the port for this service.

    They must not listen themselves, or the kernel would give them connections.
    """
    for held in reserved:
        # After binding: before, the kernel would let it share a port that another program shares.
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)


def join(reserved: Sequence[socket.socket]) -> list[socket.socket]:
    """Binds new sockets to the addresses of shared ones; the kernel spreads connections among them.

    Raises:
        PortError: an address can't be bound.
    """
    with _explaining(str(reserved[0].getsockname())):
        return [_bind(held.family, held.getsockname(), socket.SO_REUSEPORT) for held in reserved]


def url(host: str, reserved: Sequence[socket.socket]) -> str:
    """The URL of the service: the given host, and the port that was bound."""
    return f"http://{_join(host or '0.0.0.0', reserved[0].getsockname()[1])}"  # noqa: S104


def _bind_all(host: str, port: int) -> list[socket.socket]:
    found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    bound: list[socket.socket] = []
    refused = OSError(errno.EADDRNOTAVAIL, "Cannot assign requested address")
    with contextlib.ExitStack() as on_failure:
        for family, _, _, _, address in dict.fromkeys(found):
            try:
                taken = bound[0].getsockname()[1] if bound else port
                bound.append(_bind(family, (address[0], taken, *address[2:])))
            except OSError as error:
                # A name may resolve to an address of a protocol that this machine does not have.
                if error.errno not in {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}:
                    raise
                refused = error
            else:
                on_failure.callback(bound[-1].close)
        on_failure.pop_all()
    if not bound:
        raise refused
    return bound


def _bind(family: int, address: tuple[object, ...], *options: int) -> socket.socket:
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        # Without it, connections of a server that has just ended would block its successor.
        for option in (socket.SO_REUSEADDR, *options):
            bound.setsockopt(socket.SOL_SOCKET, option, 1)
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        bound.bind(address)
    except BaseException:
        bound.close()
        raise
    return bound


def _join(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


@contextlib.contextmanager
def _explaining(where: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        reason = reason[:1].lower() + reason[1:]
        if error.errno == errno.EADDRINUSE:
            reason += "; stop the program that listens there, or set another VAE_PORT"
        raise PortError(f"can't listen on {where}: {reason}") from error
