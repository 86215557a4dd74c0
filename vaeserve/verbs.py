"""The verbs: their options, and what each asks of the service."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypedDict
from urllib.parse import quote

import numpy as np
from numpy.typing import ArrayLike

from vaeserve.images import ImageLike, ImagesLike, Row, file_of, npy, rows_of
from vaeserve.results import Binarise, Floats, Way

MEDIA_TYPES = {
    "json": "application/json",
    "png": "image/png",
    "npy": "application/x-npy",
    "zip": "application/zip",
    "gif": "image/gif",
    "webp": "image/webp",
    "md": "text/markdown",
}
Suffix = Literal["png", "npy", "zip"]
WalkSuffix = Literal["png", "npy", "gif", "webp"]


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
    """What a call asks for.

    Args:
        path: of the route.
        options: of the verb, which go with the rows as query parameters, else as JSON.
        suffix: of the file to respond with, a key of `MEDIA_TYPES`.
        rows: images, or latents as an array.
        splits: whether the rows may go in several requests.
        method: of HTTP.
    """

    path: str
    options: Mapping[str, Any] = field(default_factory=dict)
    suffix: str = "json"
    rows: Sequence[Row] | Floats | None = None
    splits: bool = False
    method: str = "POST"

    def arguments(self, rows: Sequence[Row] | Floats | None, model: str | None) -> dict[str, Any]:
        """The arguments for httpx to send these rows to the call's model, `model` by default."""
        options = _given(self.options)
        name, _, version = (options.pop("model", model) or "").partition("/")
        query = {key: value for key, value in (("model", name), ("version", version)) if value}
        headers = {"Accept": MEDIA_TYPES[self.suffix]}
        made = {"method": self.method, "url": self.path, "params": query, "headers": headers}
        if self.method == "GET":
            return made | {"params": options}
        if rows is None:
            return made | {"json": options}
        query |= options
        if isinstance(rows, np.ndarray):
            headers["Content-Type"] = MEDIA_TYPES["npy"]
            return made | {"content": npy(rows)}
        return made | {"files": [("images", ("image", file_of(row))) for row in rows]}


def sample(n: int, options: SampleOptions, suffix: str) -> Request:
    """A draw of n images, around `latents_near` if it is given."""
    given: dict[str, Any] = {**options, "n": n}
    near = given.pop("latents_near", None)
    if isinstance(near, np.ndarray) and near.dtype != np.uint8:
        given["latents_near"] = _given({"latent": near, "radius": given.pop("radius", None)})
        near = None
    return Request("/sample", given, suffix, None if near is None else rows_of(near))


def of_images(
    path: str, images: ImagesLike, options: Mapping[str, Any], suffix: str = "json"
) -> Request:
    """A verb of images. What is drawn for an image depends on the seed and on its place."""
    splits = suffix == "json" and options.get("seed") is None
    return Request(path, options, suffix, rows_of(images), splits)


def decode(latents: ArrayLike, options: Options, suffix: str, *, splits: bool = False) -> Request:
    """The images of latents [n, *latent_shape]."""
    return Request("/decode", options, suffix, _latents(latents), splits)


def interpolate(
    images: ImagesLike | None, options: Mapping[str, Any], suffix: str = "json"
) -> Request:
    """The way between two images, latents or seeds."""
    given = {name: value for name, value in options.items() if value is not None}
    latents, seeds = given.pop("latents", None), given.get("seeds")
    rows = None if images is None else rows_of(images)
    ends = [end for end in (rows, latents, seeds) if end is not None]
    if len(ends) != 1 or len(ends[0]) != 2:
        raise ValueError("interpolate needs two endpoints: two images, two latents or two seeds")
    return Request("/interpolate", given, suffix, rows if latents is None else _latents(latents))


def of_model(name: str, what: str = "", suffix: str = "json") -> Request:
    """A page about a model; without `what`, its description, for which `name` has no version."""
    model, _, version = name.partition("/") if what else (name, "", "")
    query = {"version": version or None}
    return Request(f"/models/{quote(model, safe='')}{what}", query, suffix, method="GET")


def _given(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options that have a value, as Python's own types."""
    return {
        name: value.tolist() if isinstance(value, np.generic | np.ndarray) else value
        for name, value in options.items()
        if value is not None
    }


def _latents(latents: ArrayLike) -> Floats:
    array = np.asarray(latents, np.float32)
    if array.ndim < 2 or not len(array):
        msg = f"latents are [n, *latent_shape] with n of at least 1, not {list(array.shape)}"
        raise ValueError(msg)
    return array
