"""What the verbs return: frozen results, whose arrays have a row for each image in their order."""

from __future__ import annotations

import base64
import io
import itertools
import json
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple, Self, TypeVar

import httpx
import numpy as np
from numpy.typing import NDArray

from vaeserve.errors import ResponseError
from vaeserve.images import Images, pixels_of

Floats = NDArray[np.float32]
Metrics = NDArray[np.float64]
Integers = NDArray[np.int64]
Binarise = Literal["sample", "threshold"]
Way = Literal["linear", "spherical"]

T = TypeVar("T")

_WIDTH = 60


class Reply(NamedTuple):
    """A complete response."""

    status: int
    headers: httpx.Headers
    content: bytes

    def model(self) -> tuple[str, int]:
        """The model that responded, and its version."""
        name, _, version = self.headers["X-VAE-Model"].rpartition("/")
        return name, int(version)


def document(reply: Reply) -> dict[str, Any]:
    """The JSON object of a response.

    Raises:
        TypeError, ValueError: it is not one.
    """
    return dict(json.loads(reply.content))


@dataclass(frozen=True, repr=False, eq=False)
class Result:
    """Base class of the results: read from JSON, with a short text in place of arrays."""

    @classmethod
    def of(cls, reply: Reply) -> Self:
        """The result of a response."""
        return cls.read(document(reply))

    @classmethod
    def read(cls, members: Mapping[str, Any]) -> Self:
        """A result from the JSON members of the same names, each as its field's type.

        Raises:
            LookupError, TypeError, ValueError: the members are not those of such a result.
        """
        return cls(**{one.name: _read(str(one.type), members[one.name]) for one in fields(cls)})

    def __repr__(self) -> str:
        values = (f"{one.name}={_short(getattr(self, one.name))}" for one in fields(self))
        return f"{type(self).__name__}({', '.join(values)})"


def _short(value: object) -> str:
    if isinstance(value, np.ndarray):
        return f"{value.dtype} {list(value.shape)}"
    if isinstance(value, bytes):
        return f"{len(value)} bytes"
    text = repr(value)
    return text if len(text) <= _WIDTH or isinstance(value, Result) else f"{text[:_WIDTH]}…"


@dataclass(frozen=True, repr=False, eq=False)
class Answer(Result):
    """Base class of the verbs' results: the model that responded, and its version."""

    model: str
    version: int


@dataclass(frozen=True, repr=False, eq=False)
class File(Answer):
    """A response as a file: a PNG, an array, an archive or an animation.

    A notebook shows it if it is an image.
    """

    content: bytes
    media_type: str
    seed: int | None
    """The seed that was used; None if nothing was drawn."""

    @classmethod
    def of(cls, reply: Reply) -> Self:
        seed = reply.headers.get("X-VAE-Seed")
        media_type = reply.headers["Content-Type"]
        return cls(*reply.model(), reply.content, media_type, None if seed is None else int(seed))

    def save(self, path: str | Path) -> None:
        """Writes the file."""
        Path(path).write_bytes(self.content)

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        if not self.media_type.startswith("image/"):
            return {"text/plain": repr(self)}
        return {self.media_type: base64.b64encode(self.content).decode()}


@dataclass(frozen=True, repr=False, eq=False)
class ImageInfo(Result):
    """An image as it was sent, and the steps that fitted it to the model, in order."""

    width: int
    height: int
    mode: str
    steps: tuple[str, ...]


@dataclass(frozen=True, repr=False, eq=False)
class Near(Result):
    """What was drawn around: z = center + radius · unit · ε with ε ~ N(0, I)."""

    center: Floats
    """float32 [*latent_shape]."""
    radius: float
    unit: Literal["posterior", "prior"]
    picture: ImageInfo | None
    """None if it was a latent."""


@dataclass(frozen=True, repr=False, eq=False)
class Samples(Answer):
    """Images drawn from the prior, or around an image or a latent."""

    images: Images
    seed: int
    temperature: float | None
    """None around an image or a latent."""
    latents: Floats | None
    """float32 [n, *latent_shape]; None unless they were requested."""
    latents_near: Near | None

    @classmethod
    def of(cls, reply: Reply) -> Self:
        """From JSON, or from the stream's archive of PNG files and a JSON document."""
        if reply.headers["Content-Type"] != "application/zip":
            return super().of(reply)
        with zipfile.ZipFile(io.BytesIO(reply.content)) as archive:
            files = {name: archive.read(name) for name in archive.namelist()}
        members = json.loads(files.pop("answer.json"))
        return cls.read(members | {"images": files.values(), "latents": None})


@dataclass(frozen=True, repr=False, eq=False)
class Encodings(Answer):
    """Posteriors N(mean, diag(exp(logvar))), each float32 [n, *latent_shape]."""

    mean: Floats
    logvar: Floats
    pictures: tuple[ImageInfo, ...]


@dataclass(frozen=True, repr=False, eq=False)
class Decodings(Answer):
    """The images of latents."""

    images: Images

    @classmethod
    def of(cls, reply: Reply) -> Self:
        images = np.load(io.BytesIO(reply.content), allow_pickle=False)
        return cls(*reply.model(), Images(images))


@dataclass(frozen=True, repr=False, eq=False)
class Bounds(Result):
    """Bounds on log p(x) in nats, float64 [n] each, estimated with `samples` draws per image."""

    elbo: Metrics
    reconstruction: Metrics
    kl: Metrics
    importance_weighted: Metrics
    standard_error: Metrics
    """Of `importance_weighted`; NaN if `samples` is 1."""
    effective_sample_size: Metrics
    bits_per_dimension: Metrics | None
    """None for a density."""
    nats_per_dimension: Metrics | None
    """None unless the likelihood is a density."""
    percentile: Metrics | None
    """Among the bundle's reference images; None without a comparable reference."""
    samples: int
    seed: Integers
    """[n]: the seed of the request that the image was part of."""
    likelihood: str
    binarised: Binarise | None
    dimensions: int
    unit: str

    @classmethod
    def read(cls, members: Mapping[str, Any]) -> Self:
        return super().read({**members, "seed": [members["seed"]] * len(members["elbo"])})


@dataclass(frozen=True, repr=False, eq=False)
class Reconstructions(Answer):
    """Decoded posterior means, with squared error (pixels in [0, 1]) and KL in nats."""

    images: Images
    mean: Floats
    squared_error: Metrics
    kl: Metrics | None
    """None if the model's prior is a mixture; `bounds` has an estimate."""
    pictures: tuple[ImageInfo, ...]
    bounds: Bounds | None
    """None unless `elbo_samples` was given."""


@dataclass(frozen=True, repr=False, eq=False)
class Scores(Bounds, Answer):
    """How likely the model finds each image."""

    pictures: tuple[ImageInfo, ...]


@dataclass(frozen=True, repr=False, eq=False)
class Interpolation(Answer):
    """The images between two ends, both included, and their latents."""

    path: Way
    steps: int
    images: Images
    latents: Floats
    seeds: tuple[int, ...] | None
    pictures: tuple[ImageInfo, ...] | None


@dataclass(frozen=True, repr=False, eq=False)
class StoredLatents(Answer):
    """Posterior means of images that the model was not trained on."""

    split: str
    n: int
    latents: Floats
    """float32 [n, *latent_shape]."""
    labels: Integers
    """[n], indices into `classes`; −1 if an image has no class."""
    classes: tuple[str, ...]


_READERS: dict[str, Callable[[Any], Any]] = {
    "Images": lambda files: Images(pixels_of(files)),
    "Floats": partial(np.asarray, dtype=np.float32),
    "Metrics": partial(np.asarray, dtype=np.float64),
    "Integers": partial(np.asarray, dtype=np.int64),
    "Bounds": Bounds.read,
    "ImageInfo": ImageInfo.read,
    "Near": Near.read,
    "tuple[ImageInfo, ...]": lambda images: tuple(map(ImageInfo.read, images)),
    "tuple[int, ...]": tuple,
    "tuple[str, ...]": tuple,
}


def _read(kind: str, value: object) -> object:
    """A member as its field's type; a JSON value of another type stays as it is."""
    reader = _READERS.get(kind.removesuffix(" | None"))
    return value if reader is None or value is None else reader(value)


def joined(parts: Sequence[T]) -> T:
    """The parts' rows one after the other; a value for all rows is that of the first part.

    Raises:
        ResponseError: the parts are of different models or versions.
        ValueError: they differ in shape, as images of several sizes do.
    """
    if len(parts) == 1:
        return parts[0]
    models: Any = dict.fromkeys(f"{part.model}/{part.version}" for part in parts)  # type: ignore[attr-defined]
    if len(models) > 1:
        msg = f"{' and '.join(models)} responded to parts of one call; select a version"
        raise ResponseError(msg)
    made: T = _join(parts)
    return made


def _join(values: Sequence[Any]) -> Any:  # noqa: ANN401 a result or a member of one
    first = values[0]
    if isinstance(first, np.ndarray):
        return np.concatenate(values)
    if isinstance(first, Images):
        return Images(np.concatenate([value.array for value in values]))
    if isinstance(first, tuple):
        return tuple(itertools.chain.from_iterable(values))
    if isinstance(first, Result):
        names = (one.name for one in fields(first))
        members = {name: _join([getattr(value, name) for value in values]) for name in names}
        return type(first)(**members)
    return first
