"""Images as a zip file of PNGs, sent while they are computed.

The head goes out when the first window is there, so what is wrong before is an error like any
other. A later failure cuts the connection without a proper end, for nobody to take it for whole.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import ExitStack, aclosing

import orjson
from fastapi import Response
from starlette.types import Receive, Scope, Send

from app.codecs.images import png
from app.codecs.zip_stream import Archive
from app.concurrency import Offload
from app.errors import ClientDisconnectedError, ServiceError
from app.http.access_log import CUT
from app.http.deadline import Deadline
from app.http.headers import ZIP
from model.pixels import Images

ABOUT = "answer.json"
"""The last entry: what the answer says beside its images."""

_FEWEST_DIGITS = 6
_DIRECTORY_WEIGHT = 100
"""How many times as long an entry of the directory takes as a pixel of a PNG, about."""


class StreamCutError(Exception):
    """Ends a request whose answer has begun and can't be completed."""


class ZipAnswer(Response):
    """A response of which the first piece is there.

    Args:
        first: of the body.
        rest: of the body, computed as it is sent.
        headers: of the answer.
        deadline: of the request, begun anew for each piece.
        held: what the request holds, the deadline among it; left when the answer has been sent,
            or can't be.
        observe: called with route and error code where the answer was cut off.
    """

    media_type = ZIP

    def __init__(
        self,
        first: bytes,
        rest: AsyncGenerator[bytes, None],
        *,
        headers: Mapping[str, str],
        deadline: Deadline,
        held: ExitStack,
        observe: Callable[[str, str], None],
    ) -> None:
        self.status_code = 200
        self.background = None
        self.init_headers(headers)
        self._first = first
        self._rest = rest
        self._deadline = deadline
        self._held = held
        self._observe = observe

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            with self._held:
                await self._send(send)
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        except ClientDisconnectedError as error:
            self._cut(scope, error.code)  # nobody is there to be told
        except ServiceError as error:
            self._cut(scope, error.code)
            msg = f"the answer was cut off: {error.detail}"
            raise StreamCutError(msg) from error
        except asyncio.CancelledError:
            self._cut(scope, "shutting_down")
            raise
        except Exception:
            self._cut(scope, "internal")
            raise

    async def _send(self, send: Send) -> None:
        async with aclosing(self._rest) as rest:
            head = {"status": self.status_code, "headers": self.raw_headers}
            await send({"type": "http.response.start", **head})
            await _send_piece(send, self._first)
            # Each window has the time of a request: to be computed, and to be taken by the reader.
            self._deadline.renew()
            async for piece in rest:
                await _send_piece(send, piece)
                self._deadline.renew()

    def _cut(self, scope: Scope, code: str) -> None:
        scope["state"][CUT] = code
        self._observe(scope["route"].path, code)


async def pieces(
    offload: Offload, windows: AsyncGenerator[Images, None], n: int, about: Mapping[str, object]
) -> AsyncGenerator[bytes, None]:
    """A zip file of images, a piece for each window uint8 [w, h, w, c], n images in all.

    The PNGs are named by their row, and `about` follows them as JSON.
    """
    digits = max(_FEWEST_DIGITS, len(str(n - 1)))
    archive, first = Archive(), 0
    async with aclosing(windows):
        async for images in windows:
            names = [f"{first + i:0{digits}}.png" for i in range(len(images))]
            yield await offload(images.size, _entries, archive, names, images)
            first += len(images)
    yield archive.add(ABOUT, orjson.dumps(about, option=orjson.OPT_SERIALIZE_NUMPY))
    # A directory of many entries takes long to write.
    yield await offload(first * _DIRECTORY_WEIGHT, archive.close)


def _entries(archive: Archive, names: list[str], images: Images) -> bytes:
    return b"".join(
        [archive.add(name, png(image)) for name, image in zip(names, images, strict=True)]
    )


async def _send_piece(send: Send, piece: bytes) -> None:
    await send({"type": "http.response.body", "body": piece, "more_body": True})
