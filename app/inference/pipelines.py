"""What a batch computes: a graph and the NumPy around it, for the rows of all callers at once.

Each pipeline takes rows [n, …] and returns arrays [n, …] whose row i depends on row i alone. A
lane runs it, so it doesn't block the event loop, and n rows cost far less than n times one row.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.inference.batch import Array, Outputs
from app.inference.loader import Loaded
from app.inference.prior import Prior
from model import pixels
from model.bundle.scaling import UNSCALED, Scaling, scaling_of
from model.likelihood import bounds
from model.pixels import Floats, Images, Range
from model.runtime import Graph

Run = Callable[[Array], Outputs]
Draws = NDArray[np.float64]
"""Latents to draw, float64 [n, 3]: seed, row and temperature. Seeds are below 2^53, so exact."""

DRAW_SHAPE = (3,)


@dataclass(frozen=True, slots=True)
class Pipeline:
    """A function of rows, the shape of a row at the model's own size, and its measured seconds."""

    run: Run
    row_shape: tuple[int, ...]
    row_seconds: float


def pipelines_of(loaded: Loaded, prior: Prior) -> dict[str, Pipeline]:
    """Everything that a bundle computes, by name.

    The `_floats` have pixels as numbers in the model's own range. The `_tensors` are those of the
    Open Inference Protocol, whose statistics count its batches alone.
    """
    encoder, decoder = loaded.encoder, loaded.decoder
    spec, latent = loaded.bundle.manifest.input, loaded.bundle.manifest.latent
    scaling, value_range = scaling_of(latent), spec.value_range
    image = (spec.height, spec.width, spec.channels)
    floats = (spec.channels, spec.height, spec.width)
    to_latents, to_images = loaded.encoder_row_seconds, loaded.decoder_row_seconds
    both = to_latents + to_images
    reconstruct = reconstructing(
        encoder, decoder, value_range, scaling, with_kl=loaded.bundle.mixture is None
    )
    encode_floats = Pipeline(encoding_floats(encoder, scaling), floats, to_latents)
    return {
        "encode": Pipeline(encoding(encoder, value_range, scaling), image, to_latents),
        "decode": Pipeline(decoding(decoder, value_range, scaling), latent.shape, to_images),
        "sample": Pipeline(sampling(decoder, value_range, prior, scaling), DRAW_SHAPE, to_images),
        "reconstruct": Pipeline(reconstruct, image, both),
        "params": Pipeline(decoding_tensors(decoder, scaling, "params"), latent.shape, to_images),
        "encode_floats": encode_floats,
        "decode_floats": Pipeline(decoding_floats(decoder, scaling), latent.shape, to_images),
        "encode_tensors": encode_floats,
        "decode_tensors": Pipeline(
            decoding_tensors(decoder, scaling, "pixels", "params"), latent.shape, to_images
        ),
        "reconstruct_tensors": Pipeline(
            reconstructing_tensors(encoder, decoder, scaling), floats, both
        ),
    }


def draws(seed: int, n: int, temperature: float, first: int = 0) -> Draws:
    """Rows first … first + n − 1 of a seed."""
    rows = np.empty((n, *DRAW_SHAPE))
    rows[:, 0] = seed
    rows[:, 1] = np.arange(first, first + n)
    rows[:, 2] = temperature
    return rows


def encoding(encoder: Graph, value_range: Range, scaling: Scaling = UNSCALED) -> Run:
    """Images uint8 [n, h, w, c] → mean and logvar, float32 [n, *latent_shape]."""
    encode = encoding_floats(encoder, scaling)

    def run(images: Images) -> Outputs:
        return encode(pixels.to_float(images, value_range))

    return run


def encoding_floats(encoder: Graph, scaling: Scaling = UNSCALED) -> Run:
    """Pixels float32 [n, c, h, w] in the model's range → the outputs of `encoding`."""

    def run(rows: Floats) -> Outputs:
        mean, logvar = encoder.run(rows, ("mean", "logvar"))
        return scaling.served(mean), scaling.served_logvar(logvar)

    return run


def decoding(decoder: Graph, value_range: Range, scaling: Scaling = UNSCALED) -> Run:
    """Latents → images uint8 [n, h, w, c], and bool [n]: whether every pixel was finite."""

    def run(latents: Floats) -> Outputs:
        return _shown(decoder.run(scaling.trained(latents), ("pixels",))[0], value_range)

    return run


def decoding_floats(decoder: Graph, scaling: Scaling = UNSCALED) -> Run:
    """Latents → pixels float32 [n, c, h, w] in the model's range, not clamped, and whether they
    are finite, bool [n]."""

    def run(latents: Floats) -> Outputs:
        decoded = decoder.run(scaling.trained(latents), ("pixels",))[0]
        return decoded, pixels.finite_rows(decoded)

    return run


def sampling(decoder: Graph, value_range: Range, prior: Prior, scaling: Scaling = UNSCALED) -> Run:
    """`Draws` → the outputs of `decoding`, and the latents, float32 [n, *latent_shape]."""
    decode = decoding(decoder, value_range, scaling)

    def run(rows: Draws) -> Outputs:
        seeds, numbers = rows[:, 0].astype(int).tolist(), rows[:, 1].astype(int).tolist()
        latents = prior.draw(seeds, numbers, rows[:, 2].astype(np.float32))
        return (*decode(latents), latents)

    return run


def reconstructing(
    encoder: Graph,
    decoder: Graph,
    value_range: Range,
    scaling: Scaling = UNSCALED,
    *,
    with_kl: bool = True,
) -> Run:
    """Images uint8 [n, h, w, c] → the outputs of `decoding` for their posterior means, the means,
    the squared errors in units of [0, 1], and with `with_kl` the KL from N(0, I) in nats."""
    low, high = value_range
    unit = (high - low) ** 2

    def run(images: Images) -> Outputs:
        rows = pixels.to_float(images, value_range)
        mean, logvar = encoder.run(rows, ("mean", "logvar"))
        decoded = decoder.run(mean, ("pixels",))[0]
        squared_error = bounds.squared_error(rows, decoded) / unit
        kl = (bounds.kl(mean, logvar),) if with_kl else ()
        return (*_shown(decoded, value_range), scaling.served(mean), squared_error, *kl)

    return run


def decoding_tensors(decoder: Graph, scaling: Scaling, *outputs: str) -> Run:
    """Latents → `pixels` or the likelihood's `params`, each float32 [n, c, h, w], as they are."""

    def run(latents: Floats) -> Outputs:
        return tuple(decoder.run(scaling.trained(latents), outputs))

    return run


def reconstructing_tensors(encoder: Graph, decoder: Graph, scaling: Scaling = UNSCALED) -> Run:
    """Images inside, float32 [n, c, h, w] → the pixels of their posterior means, the means and the
    log-variances."""

    def run(rows: Floats) -> Outputs:
        mean, logvar = encoder.run(rows, ("mean", "logvar"))
        decoded = decoder.run(mean, ("pixels",))[0]
        return decoded, scaling.served(mean), scaling.served_logvar(logvar)

    return run


def _shown(decoded: Floats, value_range: Range) -> tuple[Images, NDArray[np.bool_]]:
    # Values beyond float32 become white; the second output marks rows with NaN.
    with np.errstate(over="ignore", invalid="ignore"):
        return pixels.to_uint8(decoded, value_range), pixels.finite_rows(decoded)
