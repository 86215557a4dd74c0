"""Are the servers' answers the same, and right? Figures of servers that differ say nothing."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence

import numpy as np
import orjson

from benchmarks.load import workloads
from benchmarks.load.workloads import Workload
from benchmarks.servers.ours import Server
from model.bundle.bundle import DECODER, ENCODER, Bundle
from model.pixels import Floats, Images, to_float, to_uint8
from model.runtime import Graph

GREY_LEVELS = 1
"""Largest difference allowed: scaling bytes to floats rounds in one of two ways."""

POSTERIOR_TOLERANCE = 1e-3
"""Largest difference of a mean or log-variance, as a part of the largest value (at least 1)."""

_SEED = 7
_MANY = 3
_UNREADABLE = (ValueError, LookupError, TypeError, AttributeError, OSError, EOFError, SyntaxError)
"""What Pillow, orjson, NumPy and the use of what they find raise for a body of another kind."""


class AgreementError(Exception):
    """A server's answer is not the one that the bundle gives."""


def check(servers: Sequence[Server], bundle: Bundle, image: Images) -> None:
    """Asks every server to reconstruct and encode `image`, uint8 [h, w, c], and to sample.

    Reconstructions, of a raw body and of a form, and posteriors are held to the graphs' own.
    Samples of one seed are held to be repeatable and of the right shape: each server draws its
    latents its own way. What a server can't be asked is left out.

    Raises:
        AgreementError: an image differs by more than one grey level, or a posterior by more than
            `POSTERIOR_TOLERANCE`, or an answer is none of the kind that was asked for.
        ServerError: a server did not answer 200.
    """
    mean, logvar = posterior(bundle, image)
    expected = reconstruction(bundle, mean)
    for server in servers:
        try:
            _check_reconstructions(server, image, expected)
            _check_posteriors(server, image, {"mean": mean, "logvar": logvar})
            for n in (1, _MANY):
                _check_samples(server, n, image.shape)
        except _UNREADABLE as error:
            msg = f"{server.system.name} answered with something that can't be read: {error!r}"
            raise AgreementError(msg) from error


def posterior(bundle: Bundle, image: Images) -> tuple[Floats, Floats]:
    """Mean and log-variance of one image, computed here, [1, *latent_shape] each."""
    rows = to_float(image[np.newaxis], bundle.manifest.input.value_range)
    mean, logvar = Graph(bundle.read(ENCODER)).run(rows, ["mean", "logvar"])
    return mean, logvar


def reconstruction(bundle: Bundle, mean: Floats) -> Images:
    """One decoded posterior mean, computed here, uint8 [h, w, c]."""
    decoded = Graph(bundle.read(DECODER)).run(mean, ["pixels"])[0]
    image: Images = to_uint8(decoded, bundle.manifest.input.value_range)[0]
    return image


def _answers(server: Server, workload: Workload, times: int = 1) -> list[bytes]:
    if server.system.adapt(workload) is None:
        return []
    return [server.ask(workload) for _ in range(times)]


def _check_reconstructions(server: Server, image: Images, expected: Images) -> None:
    for asked in (workloads.reconstruct(image), workloads.reconstruct_multipart(image)):
        for answer in _answers(server, asked):
            reconstructed = workloads.from_png(answer, image.shape[2])
            _compare_images(f"{server.system.name} {asked.name}", reconstructed, expected)


def _check_posteriors(server: Server, image: Images, expected: Mapping[str, Floats]) -> None:
    for answer in _answers(server, workloads.encode(image)):
        found = orjson.loads(answer)
        for name, wanted in expected.items():
            _compare_posteriors(f"{server.system.name} /encode {name}", found[name], wanted)


def _check_samples(server: Server, n: int, shape: tuple[int, ...]) -> None:
    asked = workloads.sample(_SEED, n=n)
    what = f"{server.system.name} {asked.name}"
    drawn = [_images(answer, shape[-1], n) for answer in _answers(server, asked, times=2)]
    for images in drawn:
        if images.shape != (n, *shape):
            msg = f"{what} has shape {images.shape}, expected {(n, *shape)}"
            raise AgreementError(msg)
        _compare_images(f"{what} asked again", images, drawn[0])


def _images(answer: bytes, channels: int, n: int) -> Images:
    if n == 1:
        return workloads.from_png(answer, channels)[np.newaxis]
    images: Images = np.load(io.BytesIO(answer), allow_pickle=False)
    return images


def _compare_images(what: str, got: Images, expected: Images) -> None:
    if got.shape != expected.shape:
        msg = f"{what} has shape {got.shape}, expected {expected.shape}"
        raise AgreementError(msg)
    difference = int(np.abs(got.astype(int) - expected.astype(int)).max())
    if difference > GREY_LEVELS:
        msg = f"{what} differs by {difference} grey levels, allowed is {GREY_LEVELS}"
        raise AgreementError(msg)


def _compare_posteriors(what: str, found: object, expected: Floats) -> None:
    got = np.asarray(found, dtype=np.float64)
    if got.shape != expected.shape:
        msg = f"{what} has shape {got.shape}, expected {expected.shape}"
        raise AgreementError(msg)
    limit = POSTERIOR_TOLERANCE * max(1.0, float(np.abs(expected).max()))
    difference = float(np.abs(got - expected).max())
    if not difference <= limit:
        msg = f"{what} differs by {difference:g}, allowed is {limit:g}"
        raise AgreementError(msg)
