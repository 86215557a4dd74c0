"""Turns a verb's result into the response in the chosen format, whole or as a streamed zip file.

The head of a streamed answer goes out with its first window, so earlier errors are ordinary
responses. A later failure cuts the connection without a proper end, so that no client takes the
file for a complete one.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import ExitStack, aclosing
from functools import lru_cache
from typing import Any

import orjson
from fastapi import Response
from starlette.types import Receive, Scope, Send

from app.api.schemas import Picture
from app.api.verb import Call, Members, Result, Verb
from app.codecs.formats import FORMATS, Content
from app.codecs.images import base64_png, png
from app.codecs.zip_stream import Archive
from app.concurrency import Offload
from app.errors import ClientDisconnectedError, ServiceError
from app.http.access_log import CUT
from app.http.deadline import Deadline
from app.http.headers import JSON, ZIP
from app.inference.engine import Engine
from app.inference.windows import split
from model.images.fitting import Fitted
from model.pixels import Images

ABOUT = "answer.json"
"""The last entry of a zip file: the members of the answer except its images."""

_FEWEST_DIGITS = 6
_DIRECTORY_WEIGHT = 100
"""About how many times longer writing a directory entry takes than a pixel of a PNG."""


def respond(verb: Verb[Any], call: Call[Any], result: Result, media_type: str) -> Response:
    """The whole answer in one of the verb's formats."""
    if media_type == JSON:
        return _json(call, result)
    array = result.latents if result.images is None else result.images
    encode = FORMATS[media_type].encode
    assert array is not None  # noqa: S101 the kind of the verb's answer
    assert encode is not None  # noqa: S101 zip files are streamed
    content = encode(Content(array, verb.kind, result.milliseconds, result.bounce))
    headers = {**headers_of(call, result), **result.binary_headers()}
    return Response(content, headers=headers, media_type=media_type)


def weight_of(result: Result, media_type: str) -> int:
    """How much work `respond` is, in pixels or latents."""
    if result.images is not None:
        shown: int = result.images.size // result.images.shape[-1]
        return shown * (FORMATS[media_type].weight if media_type in FORMATS else 1)
    return 0 if result.latents is None else result.latents.size


def _json(call: Call[Any], result: Result) -> Response:
    members = identity(call.engine) | result.members
    if result.images is not None:
        members["images"] = [base64_png(image) for image in result.images]
    content = orjson.dumps(members, option=orjson.OPT_SERIALIZE_NUMPY)
    return Response(content, headers=headers_of(call, result), media_type=JSON)


def identity(engine: Engine) -> Members:
    """The members that name the model that answered."""
    return {"model": engine.name, "version": engine.version}


def headers_of(call: Call[Any], result: Result) -> dict[str, str]:
    """The headers of an answer in any format."""
    timing = call.permit.timing.header
    headers = {"X-VAE-Model": call.engine.identity, "Server-Timing": timing}
    if result.seed is not None:
        headers["X-VAE-Seed"] = str(result.seed)
    headers.update(result.headers)
    return headers


def fit_header(fitted: Sequence[Fitted]) -> dict[str, str]:
    """What was done to fit each image, as ASCII JSON: header values carry nothing wider."""
    return {"X-VAE-Fit": _fit_text(tuple(image.steps for image in fitted))}


@lru_cache(maxsize=64)
def _fit_text(steps: tuple[tuple[str, ...], ...]) -> str:
    return json.dumps(steps)


def as_found(fitted: Sequence[Fitted]) -> list[Members]:
    """Each image as it was uploaded, and what was done to fit it, for `Picture`."""
    return [{name: getattr(image, name) for name in Picture.model_fields} for image in fitted]


async def stream(
    call: Call[Any],
    result: Result,
    *,
    offload: Offload,
    deadline: Deadline,
    held: ExitStack,
    observe: Callable[[str, str], None],
) -> ZipResponse:
    """Returns the answer as a zip file once its first window is computed.

    The response takes over `held`, the deadline and permit of the request.
    """
    if result.windows is not None:
        windows, n = result.windows, result.n
    else:
        assert result.images is not None  # noqa: S101 only images have this format
        windows, n = split(result.images), len(result.images)
    pieces_ = pieces(offload, windows, n, identity(call.engine) | result.members)
    first = await anext(pieces_)
    headers = {**headers_of(call, result), **result.binary_headers()}
    return ZipResponse(
        first,
        pieces_,
        headers=headers,
        deadline=deadline,
        held=held.pop_all(),
        observe=observe,
    )


class StreamCutError(Exception):
    """Ends a request whose answer has begun and can't be completed."""


class ZipResponse(Response):
    """A streamed response whose first piece is already computed.

    Args:
        first: the first piece of the body.
        rest: the other pieces, computed while the body is sent.
        headers: the response's headers.
        deadline: the request's deadline, restarted for each piece.
        held: the request's deadline and permit, released when the response is sent or fails.
        observe: called with the route and the error code if the response is cut off.
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
            self._cut(scope, error.code)  # no client is left to see an error
        except ServiceError as error:
            self._cut(scope, error.code)
            raise StreamCutError(f"the response was cut off: {error.detail}") from error
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
            # Each window gets the time of a whole request, to be computed and to be read.
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
