"""The verbs, for both clients: a call is cut into requests, and their responses become a result."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, NamedTuple, TypedDict, TypeVar
from urllib.parse import quote

import httpx
import numpy as np
from numpy.typing import ArrayLike

from vaeserve import results
from vaeserve.errors import ProblemError, ResponseError, problem_of
from vaeserve.images import ImageLike, ImagesLike, Row, file_of, pixels_of, rows_of
from vaeserve.results import Binarise, Images, Way, joined, read

T = TypeVar("T")

LOCAL = "http://127.0.0.1:8000"
"""Where the service listens by default."""
JSON, NPY, ZIP = "application/json", "application/x-npy", "application/zip"
MEDIA_TYPES = {
    "png": "image/png",
    "npy": NPY,
    "zip": ZIP,
    "gif": "image/gif",
    "webp": "image/webp",
}
ImagesSuffix = Literal["png", "npy", "zip"]
WalkSuffix = Literal["png", "npy", "gif", "webp"]

_CONNECT_SECONDS = 10.0
_ABOUT = "answer.json"


class Options(TypedDict, total=False):
    """Options of every verb: `model` is `name` or `name/version`."""

    model: str | None


class SampleOptions(Options, total=False):
    """Options of `sample`."""

    seed: int | None
    temperature: float | None
    height: int | None
    width: int | None
    latents_near: ImageLike | None
    radius: float | None


class ReconstructOptions(Options, total=False):
    """Options of `reconstruct`."""

    elbo_samples: int | None
    binarise: Binarise | None
    seed: int | None


class ScoreOptions(Options, total=False):
    """Options of `score`."""

    samples: int | None
    binarise: Binarise | None
    seed: int | None


class InterpolateOptions(Options, total=False):
    """Options of `interpolate`."""

    latents: ArrayLike | None
    seeds: tuple[int, int] | None
    steps: int | None
    path: Way | None


class AnimationOptions(InterpolateOptions, total=False):
    """Options of `interpolate_file`."""

    milliseconds: int | None
    bounce: bool | None


@dataclass(frozen=True, slots=True)
class Request:
    """A request: a path, query parameters, and at most one kind of body."""

    path: str
    accept: str = JSON
    method: str = "POST"
    query: Mapping[str, str] = field(default_factory=dict)
    json: Mapping[str, object] | None = None
    npy: bytes | None = None
    files: Sequence[bytes] = ()
    """Sent as multipart/form-data."""

    def build(self, http: httpx.Client | httpx.AsyncClient, timeout: float) -> httpx.Request:
        """The request of `http`, each of whose waits may take `timeout` seconds."""
        headers = {"Accept": self.accept} | ({"Content-Type": NPY} if self.npy else {})
        return http.build_request(
            self.method,
            self.path,
            params=self.query,
            headers=headers,
            json=self.json,
            content=self.npy,
            files=[("images", ("image", file)) for file in self.files] or None,
            # A host that does not respond is tried again, so one attempt must leave time.
            timeout=httpx.Timeout(timeout, connect=min(timeout, _CONNECT_SECONDS)),
        )


class Reply(NamedTuple):
    """A complete response."""

    status: int
    headers: httpx.Headers
    content: bytes

    def checked(self) -> Reply:
        """Returns the response if its status is 200.

        Raises:
            ProblemError: the status is 400 or above.
            ResponseError: another status.
        """
        if self.status >= httpx.codes.BAD_REQUEST:
            raise problem_of(*self)
        if self.status != httpx.codes.OK:
            msg = f"the service does not respond with status {self.status}"
            raise ResponseError(msg)
        return self


class Limits:
    """What one request may carry: the service's defaults, lowered by refusals."""

    def __init__(self) -> None:
        self._rows: dict[str, int] = {"/decode": 4096}
        self._body_bytes = 32 * 1024 * 1024

    def files(self, path: str, rows: Sequence[Row]) -> list[bytes]:
        """The files of the first rows that one request has room for, at least one."""
        files: list[bytes] = []
        length = 0
        for row in rows[: self._rows.get(path, 64)]:
            file = file_of(row)
            # A part of multipart/form-data has a boundary and headers.
            length += len(file) + 200
            if files and length > self._body_bytes:
                break
            files.append(file)
        return files

    def latents(self, path: str, latents: results.Floats) -> results.Floats:
        """The first latents that one request has room for, at least one."""
        fitting = max(1, self._body_bytes // (latents[0].nbytes + 1))
        return latents[: min(fitting, self._rows[path])]

    def learn(self, problem: ProblemError, path: str, rows: int) -> bool:
        """Whether `rows` rows, which were refused, may be accepted in smaller requests."""
        limit = int(problem.limit or 0)
        if rows <= 1:
            return False
        if problem.code in ("request_too_large", "body_too_large"):
            if limit and problem.code == "body_too_large":
                self._body_bytes = min(limit, self._body_bytes)
            self._rows[path] = rows // 2
            return True
        counted = problem.code == "invalid_field" and problem.field in ("images", "latents")
        if not counted or problem.index is not None or not 1 <= limit < rows:
            return False
        self._rows[path] = limit
        return True


class Call(Generic[T]):
    """One call: its requests one after the other, and the result of their responses.

    Args:
        build: row to begin with → a request, and how many rows it carries.
        parse: response → result.
        rows: of the whole call.
        limits: learn from a refusal; without them the first refusal ends the call.
    """

    def __init__(
        self,
        build: Callable[[int], tuple[Request, int]],
        parse: Callable[[Reply], T],
        rows: int = 1,
        limits: Limits | None = None,
    ) -> None:
        self._build = build
        self._parse = parse
        self._rows = rows
        self._limits = limits
        self._start = 0
        self._parts: list[T] = []

    @property
    def finished(self) -> bool:
        """Whether all rows have a response."""
        return self._start >= self._rows

    def request(self) -> Request:
        """The next request."""
        self._request, self._count = self._build(self._start)
        return self._request

    def answered(self, reply: Reply) -> None:
        """Keeps the response to the last request.

        Raises:
            ResponseError: vaeserve does not send such a response.
        """
        try:
            self._parts.append(self._parse(reply))
        except (LookupError, TypeError, ValueError, AttributeError, zipfile.BadZipFile) as error:
            media_type = reply.headers.get("Content-Type", "no media type")
            msg = f"the response ({media_type}) is not one that vaeserve sends: {error!r}"
            raise ResponseError(msg) from error
        self._start += self._count

    def refused(self, problem: ProblemError) -> None:
        """Learns from a refusal of the last request.

        Raises:
            ProblemError: smaller requests would not help; its index counts from the call's row 0.
        """
        if self._limits and self._limits.learn(problem, self._request.path, self._count):
            return
        if problem.index is not None:
            problem.index += self._start
        raise problem

    def result(self) -> T:
        """The result of all responses."""
        return joined(self._parts)


class Verbs:
    """Makes the calls of one client.

    Args:
        model: `name` or `name/version`, for calls that name no model.
    """

    def __init__(self, model: str | None = None) -> None:
        self._model = model
        self._limits = Limits()

    def sample(self, n: int, options: SampleOptions, *, latents: bool) -> Call[results.Samples]:
        """As JSON if more than images is wanted, else as a stream of any length."""
        if latents or options.get("latents_near") is not None:
            return _one(self._sample(JSON, n, options), _samples)
        return _one(self._sample(ZIP, n, options), _zipped_samples)

    def sample_file(
        self, suffix: ImagesSuffix, n: int, options: SampleOptions
    ) -> Call[results.File]:
        return _one(self._sample(MEDIA_TYPES[suffix], n, options), _file)

    def _sample(self, accept: str, n: int, options: SampleOptions) -> Request:
        query, given = self._split(SampleOptions, options)
        given["n"] = n
        near = given.pop("latents_near", None)
        if near is None:
            return Request("/sample", accept, query=query, json=given)
        if isinstance(near, np.ndarray) and near.dtype != np.uint8:
            radius = {"radius": given.pop("radius")} if "radius" in given else {}
            given["latents_near"] = {"latent": near.tolist(), **radius}
            return Request("/sample", accept, query=query, json=given)
        files = [file_of(row) for row in rows_of(near)]
        return Request("/sample", accept, query=query | _texts(given), files=files)

    def encode(self, images: ImagesLike, options: Options) -> Call[results.Encodings]:
        return self._images("/encode", images, Options, options, _members(results.Encodings))

    def reconstruct(
        self, images: ImagesLike, options: ReconstructOptions
    ) -> Call[results.Reconstructions]:
        parse = _members(results.Reconstructions)
        return self._images("/reconstruct", images, ReconstructOptions, options, parse)

    def reconstruct_file(
        self, suffix: ImagesSuffix, images: ImagesLike, options: ReconstructOptions
    ) -> Call[results.File]:
        query, given = self._split(ReconstructOptions, options)
        files = [file_of(row) for row in rows_of(images)]
        accept = MEDIA_TYPES[suffix]
        return _one(
            Request("/reconstruct", accept, query=query | _texts(given), files=files), _file
        )

    def score(self, images: ImagesLike, options: ScoreOptions) -> Call[results.Scores]:
        return self._images("/score", images, ScoreOptions, options, _members(results.Scores))

    def decode(self, latents: ArrayLike, options: Options) -> Call[results.Decodings]:
        query, _ = self._split(Options, options)
        array = _latents(latents)

        def build(start: int) -> tuple[Request, int]:
            rows = self._limits.latents("/decode", array[start:])
            return Request("/decode", NPY, query=query, npy=_npy(rows)), len(rows)

        return Call(build, _decodings, len(array), self._limits)

    def decode_file(
        self, suffix: ImagesSuffix, latents: ArrayLike, options: Options
    ) -> Call[results.File]:
        query, _ = self._split(Options, options)
        npy = _npy(_latents(latents))
        return _one(Request("/decode", MEDIA_TYPES[suffix], query=query, npy=npy), _file)

    def interpolate(
        self, images: ImagesLike | None, options: InterpolateOptions
    ) -> Call[results.Interpolation]:
        request = self._interpolate(JSON, images, InterpolateOptions, options)
        return _one(request, _members(results.Interpolation))

    def interpolate_file(
        self, suffix: WalkSuffix, images: ImagesLike | None, options: AnimationOptions
    ) -> Call[results.File]:
        accept = MEDIA_TYPES[suffix]
        return _one(self._interpolate(accept, images, AnimationOptions, options), _file)

    def _interpolate(
        self,
        accept: str,
        images: ImagesLike | None,
        kind: type,
        options: Mapping[str, Any],
    ) -> Request:
        query, given = self._split(kind, options)
        latents, seeds = given.pop("latents", None), given.pop("seeds", None)
        rows = None if images is None else rows_of(images)
        ends = [end for end in (rows, latents, seeds) if end is not None]
        if len(ends) != 1 or len(ends[0]) != 2:
            msg = "interpolate takes two ends: two images, two latents or two seeds"
            raise ValueError(msg)
        path = "/interpolate"
        if seeds is not None:
            return Request(path, accept, query=query, json={**given, "seeds": list(seeds)})
        query |= _texts(given)
        if rows is not None:
            return Request(path, accept, query=query, files=[file_of(row) for row in rows])
        return Request(path, accept, query=query, npy=_npy(_latents(latents)))

    def models(self) -> Call[results.Models]:
        return _one(Request("/models", method="GET"), _members(results.Models))

    def describe(self, name: str) -> Call[results.Model]:
        request = Request(f"/models/{quote(name, safe='')}", method="GET")
        return _one(request, _members(results.Model))

    def stored_latents(self, name: str) -> Call[results.StoredLatents]:
        return _one(self._stored(name, "latents", JSON), _members(results.StoredLatents))

    def card(self, name: str) -> Call[str]:
        request = self._stored(name, "card", "text/markdown")
        return _one(request, lambda reply: reply.content.decode())

    def _stored(self, name: str, what: str, accept: str) -> Request:
        query, _ = self._split(Options, {"model": name})
        path = f"/models/{quote(query.pop('model', ''), safe='')}/{what}"
        return Request(path, accept, "GET", query)

    def _images(
        self,
        path: str,
        images: ImagesLike,
        kind: type,
        options: Mapping[str, Any],
        parse: Callable[[Reply], T],
    ) -> Call[T]:
        query, given = self._split(kind, options)
        query |= _texts(given)
        rows = rows_of(images)
        # What is drawn for an image depends on the seed and on its place in the request.
        whole = "seed" in given

        def build(start: int) -> tuple[Request, int]:
            left = rows[start:]
            files = [file_of(row) for row in left] if whole else self._limits.files(path, left)
            return Request(path, query=query, files=files), len(files)

        return Call(build, parse, len(rows), None if whole else self._limits)

    def _split(
        self, kind: type, options: Mapping[str, Any]
    ) -> tuple[dict[str, str], dict[str, Any]]:
        """The query parameters that name the model, and the options that were given."""
        known = kind.__annotations__
        for name in options:
            if name not in known:
                msg = f"{name} is not an option of this verb; its options: {', '.join(known)}"
                raise TypeError(msg)
        given = {
            name: value.item() if isinstance(value, np.generic) else value
            for name, value in options.items()
            if value is not None
        }
        model, _, version = (given.pop("model", "") or self._model or "").partition("/")
        target = {"model": model, "version": version}
        return {name: value for name, value in target.items() if value}, given


def _one(request: Request, parse: Callable[[Reply], T]) -> Call[T]:
    return Call(lambda start: (request, 1), parse)


def _texts(options: Mapping[str, Any]) -> dict[str, str]:
    return {
        name: str(value).lower() if isinstance(value, bool) else str(value)
        for name, value in options.items()
    }


def _latents(latents: ArrayLike) -> results.Floats:
    array = np.asarray(latents, np.float32)
    if array.ndim < 2 or not len(array):
        msg = f"latents are [n, *latent_shape] with n of at least 1, not {list(array.shape)}"
        raise ValueError(msg)
    return array


def _npy(array: results.Floats) -> bytes:
    file = io.BytesIO()
    np.save(file, array, allow_pickle=False)
    return file.getvalue()


def _members(kind: type[results.ResultT]) -> Callable[[Reply], results.ResultT]:
    return lambda reply: read(kind, json.loads(reply.content))


_samples = _members(results.Samples)


def _zipped_samples(reply: Reply) -> results.Samples:
    with zipfile.ZipFile(io.BytesIO(reply.content)) as archive:
        members = json.loads(archive.read(_ABOUT))
        names = [name for name in archive.namelist() if name != _ABOUT]
        images = Images(np.stack([pixels_of(archive.read(name)) for name in names]))
    return read(results.Samples, members, images=images, latents=None)


def _identity(reply: Reply) -> tuple[str, int]:
    name, _, version = reply.headers["X-VAE-Model"].rpartition("/")
    return name, int(version)


def _decodings(reply: Reply) -> results.Decodings:
    pixels = np.load(io.BytesIO(reply.content), allow_pickle=False)
    if pixels.dtype != np.uint8 or pixels.ndim != 4:
        msg = f"the array is {pixels.dtype} {list(pixels.shape)}, not uint8 [n, h, w, c]"
        raise ValueError(msg)
    return results.Decodings(*_identity(reply), Images(pixels))


def _file(reply: Reply) -> results.File:
    seed = reply.headers.get("X-VAE-Seed")
    media_type = reply.headers["Content-Type"]
    return results.File(
        reply.content, media_type, *_identity(reply), None if seed is None else int(seed)
    )
