"""Checks that servers respond with what the bundle gives, so that their speeds are comparable."""

from __future__ import annotations

import io
from collections.abc import Iterator

import numpy as np
import orjson
from numpy.typing import ArrayLike

from benchmarks.load import workloads
from benchmarks.load.workloads import Workload
from benchmarks.servers.ours import Server
from model.bundle.bundle import DECODER, ENCODER, Bundle
from model.pixels import Floats, Images, to_float, to_uint8
from model.runtime import Graph

GREY_LEVELS = 1
"""The largest permitted difference of an image: libraries round bytes to floats in two ways."""

POSTERIOR_TOLERANCE = 1e-3
"""The largest permitted difference of a mean or log-variance, relative to the largest value (at
least 1)."""

_SEED = 7
_MANY = 3
_UNREADABLE = (ValueError, LookupError, TypeError, AttributeError, OSError, EOFError, SyntaxError)
"""What Pillow, orjson and NumPy raise for an unexpected body."""


class AgreementError(Exception):
    """A server's response is not what the bundle gives."""


def check(server: Server, bundle: Bundle, image: Images) -> None:
    """Compares a server's responses with the bundle's graphs; `image` is uint8 [h, w, c].

    Reconstructions (of a raw body and of a form) and posteriors are compared with the graphs' own.
    Samples of one seed are only compared with each other, because servers draw latents differently.
    Workloads that the server lacks are left out.

    Raises:
        AgreementError: an image differs by more than one grey level, a posterior by more than
            `POSTERIOR_TOLERANCE`, or a response has another form.
        ServerError: the status of a response is not 200.
    """
    name = server.system.name
    mean, logvar = posterior(bundle, image)
    expected = reconstruction(bundle, mean)
    try:
        for sent in (workloads.reconstruct(image), workloads.reconstruct_multipart(image)):
            for answer in _answers(server, sent):
                found = workloads.from_png(answer, image.shape[2])
                _compare(f"{name} {sent.name}", found, expected, GREY_LEVELS)
        for answer in _answers(server, workloads.encode(image)):
            members = orjson.loads(answer)
            for member, wanted in (("mean", mean), ("logvar", logvar)):
                limit = POSTERIOR_TOLERANCE * max(1.0, float(np.abs(wanted).max()))
                _compare(f"{name} /encode {member}", members[member], wanted, limit)
        for n in (1, _MANY):
            _check_samples(server, n, image.shape)
    except _UNREADABLE as error:
        raise AgreementError(f"{name} sent a response that can't be read: {error!r}") from error


def posterior(bundle: Bundle, image: Images) -> tuple[Floats, Floats]:
    """Mean and log-variance of one image by the bundle's graph, [1, *latent_shape] each."""
    rows = to_float(image[np.newaxis], bundle.manifest.input.value_range)
    mean, logvar = Graph(bundle.read(ENCODER)).run(rows, ["mean", "logvar"])
    return mean, logvar


def reconstruction(bundle: Bundle, mean: Floats) -> Images:
    """A posterior mean decoded by the bundle's graph, uint8 [h, w, c]."""
    decoded = Graph(bundle.read(DECODER)).run(mean, ["pixels"])[0]
    image: Images = to_uint8(decoded, bundle.manifest.input.value_range)[0]
    return image


def _answers(server: Server, workload: Workload, times: int = 1) -> Iterator[bytes]:
    if server.system.adapt(workload) is not None:
        for _ in range(times):
            yield server.ask(workload)


def _check_samples(server: Server, n: int, shape: tuple[int, ...]) -> None:
    sent = workloads.sample(_SEED, n=n)
    what = f"{server.system.name} {sent.name}, repeated"
    drawn = [_images(answer, shape[-1], n) for answer in _answers(server, sent, times=2)]
    for images in drawn:
        if images.shape != (n, *shape):
            raise AgreementError(f"{what} has shape {images.shape}, expected {(n, *shape)}")
        _compare(what, images, drawn[0], GREY_LEVELS)


def _images(answer: bytes, channels: int, n: int) -> Images:
    if n == 1:
        return workloads.from_png(answer, channels)[np.newaxis]
    images: Images = np.load(io.BytesIO(answer), allow_pickle=False)
    return images


def _compare(what: str, found: ArrayLike, expected: Images | Floats, limit: float) -> None:
    got = np.asarray(found, dtype=np.float64)
    if got.shape != expected.shape:
        raise AgreementError(f"{what} has shape {got.shape}, expected {expected.shape}")
    difference = float(np.abs(got - expected).max())
    if not difference <= limit:
        raise AgreementError(f"{what} differs by {difference:g}, more than {limit:g}")
