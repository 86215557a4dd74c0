"""Parsing of requests that ask for another protocol: they are read as if they had not asked."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable

import httptools


class PlainParser(httptools.HttpRequestParser):
    """httptools' parser for a server that speaks HTTP/1.1 alone.

    A server may ignore `Upgrade` (RFC 9110 §7.8), and then the body that follows the head is the
    request's own. httptools stops behind such a head, and whoever goes on takes the body for the
    next request. Here the head is parsed a second time without the field, and the body with it.

    Args:
        protocol: takes the callbacks; those of a message whose head asks for an upgrade come
            twice, first while `should_upgrade()`.
        again: makes the parser for the rest of the connection, which has been fed the head that
            was just parsed, without its `Upgrade` field.
    """

    def __init__(self, protocol: object, again: Callable[[], PlainParser]) -> None:
        super().__init__(protocol)
        # As uvicorn has it: the answer to a request does not depend on what comes behind it.
        self.set_dangerous_leniencies(lenient_data_after_close=True)
        self._again = again

    def feed_data(self, data: bytes | bytearray | memoryview[int] | array[int]) -> None:
        """Parses what was received.

        Raises:
            httptools.HttpParserError: it is no HTTP.
        """
        parser, rest = self, memoryview(data)
        while True:
            try:
                httptools.HttpRequestParser.feed_data(parser, rest)
            except httptools.HttpParserUpgrade as upgrade:
                # A parser that has seen `Connection: close` takes nothing more.
                parser, rest = self._again(), rest[upgrade.args[0] :]
            else:
                return


def plain_head(
    method: bytes, url: bytes, version: str, headers: Iterable[tuple[bytes, bytes]]
) -> bytes:
    """A request's head without its `Upgrade` field; names are in lower case."""
    lines = [b"%b %b HTTP/%b" % (method, url, version.encode())]
    lines += [b"%b: %b" % field for field in headers if field[0] != b"upgrade"]
    return b"\r\n".join(lines) + b"\r\n\r\n"
