"""Examples for OpenAPI: requests that work when pasted, and answers as they look."""

from __future__ import annotations

from typing import Any

import numpy as np

from app.codecs.images import base64_png
from model.pixels import Images

Example = dict[str, Any]

_IDENTITY: Example = {"model": "mnist", "version": 1}
_FITTED: Example = {
    "width": 280,
    "height": 280,
    "mode": "RGB",
    "steps": ["converted to grey (ITU-R 601)", "resized to 28×28"],
}


def requests(latent_shape: tuple[int, ...]) -> dict[str, Example]:
    """A JSON body for each verb, by path."""
    images = {"images": [base64_png(image())]}
    return {
        "/sample": {"n": 4, "seed": 7},
        "/encode": images,
        "/decode": {"latents": _zeros(latent_shape)},
        "/reconstruct": images,
        "/score": images,
        "/interpolate": {"seeds": [7, 8], "steps": 4},
    }


def answers(latent_shape: tuple[int, ...]) -> dict[str, Example]:
    """A JSON answer of each verb, by path."""
    images, latents = [base64_png(image())], _zeros(latent_shape)
    return {
        "/sample": _IDENTITY
        | {"n": 1, "seed": 7, "temperature": 1.0, "images": images, "latents": latents}
        | {"latents_near": None},
        "/encode": _IDENTITY | {"mean": latents, "logvar": latents, "pictures": [_FITTED]},
        "/decode": _IDENTITY | {"images": images},
        "/reconstruct": _IDENTITY
        | {
            "images": images,
            "mean": latents,
            "squared_error": [3.2],
            "kl": [25.4],
            "pictures": [_FITTED],
            "bounds": _bounds(),
        },
        "/score": _IDENTITY | _bounds() | {"pictures": [_FITTED]},
        "/interpolate": _IDENTITY
        | {
            "path": "spherical",
            "steps": 2,
            "images": images * 2,
            "latents": latents * 2,
            "seeds": [7, 8],
            "pictures": None,
        },
    }


def image() -> Images:
    """A ring that reads as a zero: uint8 [28, 28, 1]."""
    across, down = np.meshgrid(np.arange(28) - 13.5, np.arange(28) - 13.5)
    distance = np.abs(np.hypot(across / 0.75, down) - 8)
    ring: Images = np.clip(255 * (2.2 - distance), 0, 255).astype(np.uint8)[:, :, None]
    return ring


def _zeros(latent_shape: tuple[int, ...]) -> Any:  # noqa: ANN401 as deep as the shape is
    return np.zeros((1, *latent_shape)).tolist()


def _bounds() -> Example:
    return {
        "elbo": [-89.1],
        "reconstruction": [-63.7],
        "kl": [25.4],
        "importance_weighted": [-86.0],
        "standard_error": [0.41],
        "effective_sample_size": [5.5],
        "bits_per_dimension": [0.158],
        "nats_per_dimension": None,
        "percentile": [47.6],
        "samples": 64,
        "seed": 7,
        "likelihood": "bernoulli",
        "binarised": "sample",
        "dimensions": 784,
        "unit": "nats",
    }
