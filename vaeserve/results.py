"""What the verbs return: frozen results, whose arrays have a row for each image in their order."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import DTypeLike, NDArray

from vaeserve.errors import ResponseError
from vaeserve.images import Pixels, from_base64, grid, png

Floats = NDArray[np.float32]
Metrics = NDArray[np.float64]
Binarise = Literal["sample", "threshold"]
Way = Literal["linear", "spherical"]

T = TypeVar("T")
ResultT = TypeVar("ResultT", bound="Result")

_SHOWN = 64
_WIDTH = 60


class Images:
    """Images of a response. NumPy takes them as an array, and a notebook shows them.

    An integer index gives one image, uint8 [h, w, c]; a slice gives `Images`.

    Args:
        array: uint8 [n, h, w, c].
    """

    __slots__ = ("array",)

    def __init__(self, array: Pixels) -> None:
        self.array = array

    @property
    def shape(self) -> tuple[int, ...]:
        """n, h, w and c."""
        return self.array.shape

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        return np.array(self.array, dtype=dtype, copy=copy)

    def __len__(self) -> int:
        return len(self.array)

    def __getitem__(self, index: Any) -> Any:  # noqa: ANN401 as NumPy takes and gives
        found = self.array[index]
        return Images(found) if isinstance(index, slice) else found

    def __repr__(self) -> str:
        return f"Images({_short(self.array)})"

    def _repr_png_(self) -> bytes | None:
        """A grid of the first 64 images."""
        return png(grid(self.array[:_SHOWN])) if len(self) else None


class Result:
    """Base class of the results: a short text in place of arrays."""

    __slots__ = ()

    def __repr__(self) -> str:
        values = ((one.name, getattr(self, one.name)) for one in fields(self))  # type: ignore[arg-type]
        text = ", ".join(f"{name}={_short(value)}" for name, value in values)
        return f"{type(self).__name__}({text})"


def _short(value: object) -> str:
    if isinstance(value, np.ndarray):
        return f"{value.dtype} {list(value.shape)}"
    if isinstance(value, bytes):
        return f"{len(value)} bytes"
    text = repr(value)
    return text if len(text) <= _WIDTH or isinstance(value, Result) else f"{text[:_WIDTH]}…"


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class File:
    """A response as a file: a PNG, an array, an archive or an animation.

    A notebook shows it if it is an image.
    """

    content: bytes
    media_type: str
    model: str
    version: int
    seed: int | None
    """The seed that was used; None if nothing was drawn."""

    def save(self, path: str | Path) -> None:
        """Writes the file."""
        Path(path).write_bytes(self.content)

    def __repr__(self) -> str:
        return f"File({self.media_type}, {len(self.content)} bytes, {self.model}/{self.version})"

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        if not self.media_type.startswith("image/"):
            return {"text/plain": repr(self)}
        return {self.media_type: base64.b64encode(self.content).decode()}


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Answer(Result):
    """Base class of the verbs' results: the model that responded, and its version."""

    model: str
    version: int


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class ImageInfo(Result):
    """An image as it was sent, and the steps that fitted it to the model, in order."""

    width: int
    height: int
    mode: str
    steps: tuple[str, ...]


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Near(Result):
    """What was drawn around: z = center + radius · unit · ε with ε ~ N(0, I)."""

    center: Floats
    """float32 [*latent_shape]."""
    radius: float
    unit: Literal["posterior", "prior"]
    picture: ImageInfo | None
    """None if it was a latent."""


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Samples(Answer):
    """Images drawn from the prior, or around an image or a latent."""

    images: Images
    seed: int
    temperature: float | None
    """None around an image or a latent."""
    latents: Floats | None
    """float32 [n, *latent_shape]; None unless they were requested."""
    latents_near: Near | None


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Encodings(Answer):
    """Posteriors N(mean, diag(exp(logvar))), each float32 [n, *latent_shape]."""

    mean: Floats
    logvar: Floats
    pictures: tuple[ImageInfo, ...]


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Decodings(Answer):
    """The images of latents."""

    images: Images


@dataclass(frozen=True, slots=True, repr=False, eq=False)
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
    seed: NDArray[np.int64]
    """[n]: the seed of the request that the image was part of."""
    likelihood: str
    binarised: Binarise | None
    dimensions: int
    unit: str


@dataclass(frozen=True, slots=True, repr=False, eq=False)
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


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Scores(Bounds):
    """How likely the model finds each image."""

    model: str
    version: int
    pictures: tuple[ImageInfo, ...]


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Interpolation(Answer):
    """The images between two ends, both included, and their latents."""

    path: Way
    steps: int
    images: Images
    latents: Floats
    seeds: tuple[int, ...] | None
    pictures: tuple[ImageInfo, ...] | None


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class StoredLatents(Answer):
    """Posterior means of images that the model was not trained on."""

    split: str
    n: int
    latents: Floats
    """float32 [n, *latent_shape]."""
    labels: NDArray[np.int64]
    """[n], indices into `classes`; −1 if an image has no class."""
    classes: tuple[str, ...]


@dataclass(frozen=True, slots=True, repr=False)
class Version(Result):
    """A version of a model on disk, its state, and the reason if it does not serve."""

    version: int
    state: str
    reason: str


@dataclass(frozen=True, slots=True, repr=False)
class Model(Result):
    """A model; with the manifest of the version that serves if it was described by name."""

    name: str
    default: bool
    ready: bool
    serving: int | None
    provider: str | None
    verbs: tuple[str, ...]
    stored: tuple[str, ...]
    """Which of `latents` and `card` the bundle keeps."""
    versions: tuple[Version, ...]
    manifest: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True, repr=False)
class Models(Result):
    """All models of the service."""

    default: str | None
    models: tuple[Model, ...]


def read(kind: type[ResultT], members: Mapping[str, Any], **made: object) -> ResultT:
    """A result from the JSON members of the same names.

    Args:
        kind: of result.
        members: of the response.
        made: values of the result that are not members of the response.

    Raises:
        LookupError, TypeError, ValueError: the members are not those of such a result.
    """
    if issubclass(kind, Bounds):
        made["seed"] = np.full(len(members["elbo"]), members["seed"], np.int64)
    names = [one.name for one in fields(kind)]  # type: ignore[arg-type]
    values = {name: made[name] if name in made else _read(name, members) for name in names}
    return kind(**values)


def _read(name: str, members: Mapping[str, Any]) -> Any:  # noqa: ANN401 a member of a result
    # A list of models has no manifests.
    value = members.get(name) if name == "manifest" else members[name]
    if value is None:
        return None
    if name in _NESTED:
        kind = _NESTED[name]
        return (
            tuple(read(kind, one) for one in value)
            if isinstance(value, list)
            else read(kind, value)
        )
    if name == "images":
        return Images(from_base64(value))
    if isinstance(value, list):
        return np.asarray(value, _TYPES[name]) if name in _TYPES else tuple(value)
    return value


_NESTED: dict[str, type[Result]] = {
    "bounds": Bounds,
    "latents_near": Near,
    "models": Model,
    "picture": ImageInfo,
    "pictures": ImageInfo,
    "versions": Version,
}
_TYPES: dict[str, DTypeLike] = {
    **dict.fromkeys(("center", "latents", "logvar", "mean"), np.float32),
    **dict.fromkeys(("elbo", "reconstruction", "kl", "importance_weighted"), np.float64),
    **dict.fromkeys(("standard_error", "effective_sample_size", "squared_error"), np.float64),
    **dict.fromkeys(("bits_per_dimension", "nats_per_dimension", "percentile"), np.float64),
    "labels": np.int64,
}


def joined(parts: Sequence[T]) -> T:
    """The parts' rows one after the other; a value for all rows is that of the first part.

    Raises:
        ResponseError: the parts are of different models or versions, or differ in shape.
    """
    first: Any = parts[0]
    if len(parts) == 1:
        return parts[0]
    for part in parts:
        if (part.model, part.version) != (first.model, first.version):  # type: ignore[attr-defined]
            msg = (
                f"{first.model}/{first.version} responded to one part of the call and "
                f"{part.model}/{part.version} to another; name the version"  # type: ignore[attr-defined]
            )
            raise ResponseError(msg)
    try:
        made: T = _join(parts)
    except (TypeError, ValueError) as error:
        msg = f"the parts of the call do not fit together: {error}"
        raise ResponseError(msg) from error
    return made


def _join(values: Sequence[Any]) -> Any:  # noqa: ANN401 a result or a member of one
    first = values[0]
    if isinstance(first, np.ndarray):
        return np.concatenate(values)
    if isinstance(first, Images):
        return Images(np.concatenate([value.array for value in values]))
    if isinstance(first, tuple):
        return tuple(entry for value in values for entry in value)
    if isinstance(first, Result):
        names = [one.name for one in fields(first)]  # type: ignore[arg-type]
        members = {name: _join([getattr(value, name) for value in values]) for name in names}
        return type(first)(**members)
    return first
