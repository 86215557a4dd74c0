"""What the verbs return: arrays and figures, a row for each picture, in the order they came."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from model.pixels import Floats, Images

Figures = NDArray[np.float64]
Binarise = Literal["sample", "threshold"]


@dataclass(frozen=True, slots=True)
class Answer:
    """Base: the model that answered, and its version."""

    model: str
    version: int


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture as it was sent, and what was done to fit it to the model, in order."""

    width: int
    height: int
    mode: str
    steps: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Samples(Answer):
    """Pictures drawn from the prior: uint8 [n, h, w, c]."""

    images: Images
    seed: int
    temperature: float
    latents: Floats | None
    """float32 [n, *latent_shape], where they were asked for."""


@dataclass(frozen=True, slots=True)
class Encodings(Answer):
    """Posteriors N(mean, diag(exp(logvar))), each float32 [n, *latent_shape]."""

    mean: Floats
    logvar: Floats
    pictures: tuple[Picture, ...]


@dataclass(frozen=True, slots=True)
class Decodings(Answer):
    """The pictures of latents: uint8 [n, h, w, c]."""

    images: Images


@dataclass(frozen=True, slots=True)
class Bounds:
    """Bounds on log p(x), float64 [n] each, estimated with `samples` draws for each picture."""

    elbo: Figures
    reconstruction: Figures
    kl: Figures
    importance_weighted: Figures
    samples: int
    seed: NDArray[np.int64]
    """[n]: of the request that the picture went in. Row i of a request depends on (seed, i)."""
    likelihood: str
    binarised: Binarise | None
    dimensions: int
    unit: str


@dataclass(frozen=True, slots=True)
class Reconstructions(Answer):
    """Decoded posterior means, with squared error (pixels in [0, 1]) and KL in nats."""

    images: Images
    mean: Floats
    squared_error: Figures
    kl: Figures | None
    """None where the model's prior is a mixture: `bounds` has an estimate."""
    pictures: tuple[Picture, ...]
    bounds: Bounds | None


@dataclass(frozen=True, slots=True)
class Scores(Answer):
    """How likely the model finds each picture."""

    bounds: Bounds
    standard_error: Figures
    """Of `bounds.importance_weighted`; NaN where one sample gives none."""
    effective_sample_size: Figures
    bits_per_dimension: Figures | None
    """None for a density."""
    nats_per_dimension: Figures | None
    """None but for a density."""
    percentile: Figures | None
    """Among the bundle's reference pictures; None without a reference for these options."""
    pictures: tuple[Picture, ...]


@dataclass(frozen=True, slots=True)
class Interpolation(Answer):
    """The pictures on the way between two ends, both included, and their latents."""

    path: str
    images: Images
    latents: Floats


@dataclass(frozen=True, slots=True)
class StoredLatents(Answer):
    """Posterior means of pictures that the model was not trained on."""

    split: str
    latents: Floats
    """float32 [n, *latent_shape]."""
    labels: NDArray[np.int64]
    """[n], numbers of `classes`; −1 for none."""
    classes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Version:
    """A version of a model on disk, its state, and the reason where it does not serve."""

    number: int
    state: str
    reason: str


@dataclass(frozen=True, slots=True)
class Model:
    """A model, and its manifest where it was asked for by name and serves."""

    name: str
    default: bool
    ready: bool
    serving: int | None
    provider: str | None
    verbs: tuple[str, ...]
    stored: tuple[str, ...]
    """Which of `latents` and `card` it keeps."""
    versions: tuple[Version, ...]
    manifest: Mapping[str, object] | None


@dataclass(frozen=True, slots=True)
class Models:
    """All models of the service."""

    default: str | None
    models: tuple[Model, ...]
