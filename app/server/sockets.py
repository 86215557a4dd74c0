"""Sockets on the service's address: bound before anything else starts, shared by its workers."""

from __future__ import annotations

import contextlib
import errno
import socket
from collections.abc import Sequence


class PortError(Exception):
    """The address can't be listened on; the text says which, and why."""


def reserve(host: str, port: int) -> list[socket.socket]:
    """Binds every address of a host, so that nobody else gets the port; listens on none yet.

    Args:
        host: a name or an address; empty takes all interfaces.
        port: 0 takes a free one, the same for all addresses.

    Raises:
        PortError: another program listens there, even one that would share the port, or the
            address is none of this machine's.
    """
    try:
        return _bind_all(host, port)
    except OSError as error:
        msg = f"can't listen on {_join(host, port)}: {_reason(error)}"
        raise PortError(msg) from error


def share(reserved: Sequence[socket.socket]) -> None:
    """Lets this user's `join` bind the same addresses; the reserved sockets hold the port.

    They must not listen themselves: the kernel would hand them connections.
    """
    for held in reserved:
        # Not before it was bound: the kernel would have joined it to whoever shares already.
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)


def join(reserved: Sequence[socket.socket]) -> list[socket.socket]:
    """New sockets on the addresses of shared ones, among which the kernel spreads connections.

    Raises:
        PortError: one of them can't be bound.
    """
    try:
        return [_bind(held.family, held.getsockname(), socket.SO_REUSEPORT) for held in reserved]
    except OSError as error:
        msg = f"can't listen on {reserved[0].getsockname()}: {_reason(error)}"
        raise PortError(msg) from error


def url(host: str, reserved: Sequence[socket.socket]) -> str:
    """Where a browser finds the service: the host as it was given, and the port that was taken."""
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
                # A name may stand for an address of a protocol that this machine is without.
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
        # Else the connections of a server that has just ended would block its successor.
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


def _reason(error: OSError) -> str:
    reason = error.strerror or str(error)
    reason = reason[:1].lower() + reason[1:]
    if error.errno == errno.EADDRINUSE:
        reason += "; stop what listens there, or set another VAE_PORT"
    return reason
