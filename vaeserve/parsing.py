"""Answers → results, and the results of a call's parts → the result of the call."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from typing import Any, TypeVar

import numpy as np
import orjson
from numpy.typing import NDArray

from model.pixels import Floats, Images
from vaeserve import results
from vaeserve.errors import AnswerError
from vaeserve.pictures import from_base64
from vaeserve.steps import Reply

ResultT = TypeVar("ResultT")
AnswerT = TypeVar("AnswerT", bound=results.Answer)

Members = Mapping[str, Any]


def parsed(reply: Reply, parse: Callable[[Reply], ResultT]) -> ResultT:
    """What `parse` makes of a reply.

    Raises:
        AnswerError: it is not what the service sends.
    """
    try:
        return parse(reply)
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        media_type = reply.headers.get("Content-Type", "nothing")
        msg = f"the answer ({media_type}) is not what vaeserve sends: {error!r}"
        raise AnswerError(msg) from error


def samples_as_npy(reply: Reply, temperature: float) -> results.Samples:
    model, version = _identity(reply)
    seed = int(reply.headers["X-VAE-Seed"])
    return results.Samples(model, version, _npy(reply), seed, temperature, None)


def samples(reply: Reply) -> results.Samples:
    members = _members(reply)
    return results.Samples(
        *_named(members),
        images=from_base64(members["images"]),
        seed=int(members["seed"]),
        temperature=float(members["temperature"]),
        latents=_floats(members["latents"]),
    )


def encodings(reply: Reply) -> results.Encodings:
    members = _members(reply)
    mean, logvar = _floats(members["mean"]), _floats(members["logvar"])
    return results.Encodings(*_named(members), mean, logvar, _pictures(members))


def decodings(reply: Reply) -> results.Decodings:
    return results.Decodings(*_identity(reply), _npy(reply))


def reconstructions(reply: Reply) -> results.Reconstructions:
    members = _members(reply)
    bounds = members["bounds"]
    return results.Reconstructions(
        *_named(members),
        images=from_base64(members["images"]),
        mean=_floats(members["mean"]),
        squared_error=_figures(members["squared_error"]),
        kl=_figures_or_none(members["kl"]),
        pictures=_pictures(members),
        bounds=_bounds(bounds) if bounds is not None else None,
    )


def scores(reply: Reply) -> results.Scores:
    members = _members(reply)
    return results.Scores(
        *_named(members),
        bounds=_bounds(members),
        standard_error=_figures(members["standard_error"]),
        effective_sample_size=_figures(members["effective_sample_size"]),
        bits_per_dimension=_figures_or_none(members["bits_per_dimension"]),
        nats_per_dimension=_figures_or_none(members["nats_per_dimension"]),
        percentile=_figures_or_none(members["percentile"]),
        pictures=_pictures(members),
    )


def interpolation(reply: Reply) -> results.Interpolation:
    members = _members(reply)
    images, latents = from_base64(members["images"]), _floats(members["latents"])
    return results.Interpolation(*_named(members), str(members["path"]), images, latents)


def models(reply: Reply) -> results.Models:
    members = _members(reply)
    return results.Models(members["default"], tuple(map(_model, members["models"])))


def model(reply: Reply) -> results.Model:
    return _model(_members(reply))


def stored_latents(reply: Reply) -> results.StoredLatents:
    members = _members(reply)
    return results.StoredLatents(
        *_named(members),
        split=str(members["split"]),
        latents=_floats(members["latents"]),
        labels=np.asarray(members["labels"], dtype=np.int64),
        classes=tuple(members["classes"]),
    )


def joined(parts: Sequence[AnswerT]) -> AnswerT:
    """The parts' rows one after the other; what is said once for all is taken from the first.

    Raises:
        AnswerError: the parts are of different models or versions, or of different shapes.
    """
    first = parts[0]
    for part in parts:
        if (part.model, part.version) != (first.model, first.version):
            msg = (
                f"{first.model}/{first.version} answered one part of the call and "
                f"{part.model}/{part.version} another; name the version"
            )
            raise AnswerError(msg)
    try:
        return first if len(parts) == 1 else _join(parts)
    except (TypeError, ValueError) as error:
        msg = f"the parts of the call do not fit together: {error}"
        raise AnswerError(msg) from error


def _join(parts: Sequence[Any]) -> Any:  # noqa: ANN401 a dataclass, as the parts are
    first = parts[0]
    return type(first)(
        **{
            member.name: _join_member([getattr(part, member.name) for part in parts])
            for member in fields(first)
        }
    )


def _join_member(values: Sequence[Any]) -> Any:  # noqa: ANN401 any member of a result
    first = values[0]
    if isinstance(first, np.ndarray):
        return np.concatenate(values)
    if isinstance(first, tuple):
        return tuple(entry for value in values for entry in value)
    if isinstance(first, results.Bounds):
        return _join(values)
    return first


def _members(reply: Reply) -> Members:
    members: Members = orjson.loads(reply.content)
    return members


def _named(members: Members) -> tuple[str, int]:
    return str(members["model"]), int(members["version"])


def _identity(reply: Reply) -> tuple[str, int]:
    name, _, version = reply.headers["X-VAE-Model"].rpartition("/")
    return name, int(version)


def _npy(reply: Reply) -> Images:
    images: Images = np.load(io.BytesIO(reply.content), allow_pickle=False)
    if images.dtype != np.uint8 or images.ndim != 4:
        msg = f"{images.dtype} {images.shape} where uint8 [n, h, w, c] belongs"
        raise ValueError(msg)
    return images


def _floats(values: object) -> Floats:
    return np.asarray(values, dtype=np.float32)


def _figures(values: object) -> NDArray[np.float64]:
    """float64 [n]; null is NaN."""
    return np.asarray(values, dtype=np.float64)


def _figures_or_none(values: object) -> NDArray[np.float64] | None:
    return _figures(values) if values is not None else None


def _bounds(members: Members) -> results.Bounds:
    elbo = _figures(members["elbo"])
    return results.Bounds(
        elbo=elbo,
        reconstruction=_figures(members["reconstruction"]),
        kl=_figures(members["kl"]),
        importance_weighted=_figures(members["importance_weighted"]),
        samples=int(members["samples"]),
        seed=np.full(len(elbo), int(members["seed"]), dtype=np.int64),
        likelihood=str(members["likelihood"]),
        binarised=members["binarised"],
        dimensions=int(members["dimensions"]),
        unit=str(members["unit"]),
    )


def _pictures(members: Members) -> tuple[results.Picture, ...]:
    return tuple(
        results.Picture(one["width"], one["height"], one["mode"], tuple(one["steps"]))
        for one in members["pictures"]
    )


def _model(members: Members) -> results.Model:
    versions = (
        results.Version(one["version"], one["state"], one["reason"]) for one in members["versions"]
    )
    return results.Model(
        name=members["name"],
        default=members["default"],
        ready=members["ready"],
        serving=members["serving"],
        provider=members["provider"],
        verbs=tuple(members["verbs"]),
        stored=tuple(members.get("stored", ())),
        versions=tuple(versions),
        manifest=members.get("manifest"),
    )
