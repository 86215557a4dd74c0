"""Are the servers' answers the same, and right? Figures of servers that differ say nothing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from benchmarks import workloads
from benchmarks.servers import Server
from model.bundle import DECODER, ENCODER, Bundle
from model.pixels import Images, to_float, to_uint8
from model.runtime import Graph

GREY_LEVELS = 1
"""Largest difference allowed: scaling bytes to floats rounds in one of two ways."""

_SEED = 7


class AgreementError(Exception):
    """A server's picture is not the one that the bundle gives."""


def check(servers: Sequence[Server], bundle: Bundle, image: Images) -> None:
    """Asks every server to reconstruct `image`, uint8 [h, w, c], and to sample twice from a seed.

    The reconstruction is held to the graphs' own. Samples are held to be repeatable and of the
    right shape: each server draws its latents its own way.

    Raises:
        AgreementError: a picture differs by more than one grey level.
        ServerError: a server did not answer 200.
    """
    expected = reconstruction(bundle, image)
    for server in servers:
        name = server.system.name
        answer = server.ask(workloads.reconstruct(image))
        _compare(f"{name} /reconstruct", workloads.from_png(answer, image.shape[2]), expected)
        first, again = (server.ask(workloads.sample(_SEED)) for _ in range(2))
        sampled = workloads.from_png(first, image.shape[2])
        _compare(f"{name} /sample", sampled, workloads.from_png(again, image.shape[2]))
        if sampled.shape != image.shape:
            msg = f"{name} /sample has shape {sampled.shape}, expected {image.shape}"
            raise AgreementError(msg)


def reconstruction(bundle: Bundle, image: Images) -> Images:
    """The decoded posterior mean of one picture, computed here, uint8 [h, w, c]."""
    value_range = bundle.manifest.input.value_range
    mean = Graph(bundle.read(ENCODER)).run(to_float(image[np.newaxis], value_range), ["mean"])[0]
    decoded = Graph(bundle.read(DECODER)).run(mean, ["pixels"])[0]
    picture: Images = to_uint8(decoded, value_range)[0]
    return picture


def _compare(what: str, got: Images, expected: Images) -> None:
    if got.shape != expected.shape:
        msg = f"{what} has shape {got.shape}, expected {expected.shape}"
        raise AgreementError(msg)
    difference = int(np.abs(got.astype(int) - expected.astype(int)).max())
    if difference > GREY_LEVELS:
        msg = f"{what} differs by {difference} grey levels, allowed is {GREY_LEVELS}"
        raise AgreementError(msg)
