"""The schema of `manifest.json`; this module does not read or write files.

Its parts that describe arrays are defined in `model.bundle.layout`, the likelihood in
`model.likelihood.spec`, the prior in `model.prior.spec`, those that
describe what was measured in `model.bundle.measured`; all are found here too.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    Field,
    JsonValue,
    NonNegativeInt,
    PositiveInt,
    model_validator,
)

from model.bundle.layout import VARIES as VARIES
from model.bundle.layout import GraphSpec as GraphSpec
from model.bundle.layout import InputSpec as InputSpec
from model.bundle.layout import LatentSpec as LatentSpec
from model.bundle.layout import SizesSpec as SizesSpec
from model.bundle.layout import TensorSpec as TensorSpec
from model.bundle.measured import Metric as Metric
from model.bundle.measured import PosteriorSpec as PosteriorSpec
from model.bundle.measured import ReferenceSpec as ReferenceSpec
from model.config import Binarisation as Binarisation
from model.config import Frozen
from model.likelihood.spec import LikelihoodSpec as LikelihoodSpec
from model.likelihood.spec import Scale as Scale
from model.prior.spec import PriorSpec as PriorSpec

SCHEMA_VERSION = 1

NAME_PATTERN = r"^[a-z0-9][a-z0-9_.-]{0,62}$"
VERSION_PATTERN = r"[1-9][0-9]{0,17}"
"""Most digits of a version's folder name; longer numbers are not versions."""
RESERVED_NAMES = frozenset({"stats"})
"""Names that would collide with a route of the inference protocol."""
DERIVED_KINDS = ("encoder", "decoder", "reconstruct")
"""The inference protocol serves each bundle as three models, `<name>-<kind>`."""


def name_problem(name: str) -> str:
    """Why no bundle may be called so, in a sentence; empty when it may."""
    if name in RESERVED_NAMES:
        return f"{name!r} is reserved; choose another name"
    for kind in DERIVED_KINDS:
        if name.endswith(f"-{kind}"):
            return (
                f"{name!r} ends in -{kind}, which the inference protocol appends to the names of "
                "bundles; choose another name"
            )
    if not re.fullmatch(NAME_PATTERN, name):
        return f"{name!r} is not a valid model name; names match {NAME_PATTERN}"
    return ""


def _not_reserved(name: str) -> str:
    if problem := name_problem(name):
        raise ValueError(problem)
    return name


Name = Annotated[str, Field(pattern=NAME_PATTERN), AfterValidator(_not_reserved)]


class FileEntry(Frozen):
    """What a file of the bundle must be."""

    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    bytes: Annotated[int, Field(ge=0, lt=1 << 31)]
    """A graph has less than 2 GiB, the bound of its format."""


class Preprocessing(Frozen):
    """How any image is fitted to the model, in training and in serving alike."""

    orientation: Literal["exif"] = "exif"
    crop: Literal["centre"] = "centre"
    filter: Literal["lanczos"] = "lanczos"
    background: Annotated[int, Field(ge=0, le=255)] = 0
    """The grey level that transparent pixels are laid on."""
    grey: Literal["itu-r-601"] = "itu-r-601"


class WeightsSpec(Frozen):
    """Which weights were exported."""

    kind: Literal["ema", "raw"]
    step: NonNegativeInt


class DataSpec(Frozen):
    """What the model was trained on."""

    id: str
    revision: str | None = None
    licence: str | None = None
    fingerprint: str
    split: str


class GoldenSpec(Frozen):
    """Largest absolute difference, by provider and output, that the golden batch may show."""

    tolerance: Mapping[str, Mapping[str, Annotated[float, Field(gt=0)]]]


class Manifest(Frozen):
    """`manifest.json`: everything that serving needs to know, and where the model comes from.

    Raises:
        pydantic.ValidationError: a member is missing, unknown or out of range, or two of them
            contradict each other.
    """

    schema_version: Literal[1] = 1
    name: Name
    version: PositiveInt
    created: datetime
    git_commit: str | None = None
    tools: Mapping[str, str]
    opset: PositiveInt
    files: Mapping[str, FileEntry] = {}
    input: InputSpec
    preprocessing: Preprocessing = Preprocessing()
    latent: LatentSpec
    encoder: GraphSpec
    decoder: GraphSpec
    likelihood: LikelihoodSpec | None
    prior: PriorSpec = PriorSpec()
    objective: Mapping[str, JsonValue]
    network: Mapping[str, JsonValue]
    weights: WeightsSpec
    data: DataSpec
    metrics: Mapping[str, Metric]
    kl_per_dimension: tuple[float, ...] = ()
    golden: GoldenSpec
    reference: ReferenceSpec | None = None
    posterior: PosteriorSpec | None = None
    licence: str
    card: str
    """A few sentences for people: what the model is, and what it is not for."""

    @model_validator(mode="after")
    def _likelihood_covers_the_image(self) -> Self:
        if self.likelihood and self.likelihood.dimensions != self.input.dimensions:
            raise ValueError(
                f"likelihood.dimensions must be channels × height × width of the input, "
                f"{self.input.dimensions}, got {self.likelihood.dimensions}"
            )
        scale = self.likelihood.scale if self.likelihood else None
        if isinstance(scale, tuple) and len(scale) != self.input.channels:
            raise ValueError(
                f"likelihood.scale must have one value for each of the {self.input.channels} "
                f"channels, got {len(scale)}"
            )
        return self

    @model_validator(mode="after")
    def _kl_is_of_the_latents(self) -> Self:
        wanted = math.prod(self.latent.shape)
        if self.kl_per_dimension and len(self.kl_per_dimension) != wanted:
            raise ValueError(
                f"kl_per_dimension must have one value for each of the {wanted} latent "
                f"dimensions, got {len(self.kl_per_dimension)}"
            )
        return self

    @model_validator(mode="after")
    def _reference_fits_the_likelihood(self) -> Self:
        if self.reference is None:
            return self
        if self.likelihood is None:
            raise ValueError("reference: needs a likelihood")
        wanted = self.likelihood.likelihood.binarisations
        if set(self.reference.binarised) != set(wanted):
            raise ValueError(
                f"reference.binarised must be {', '.join(wanted)} for a {self.likelihood.family} "
                f"likelihood, got {', '.join(self.reference.binarised)}"
            )
        return self

    @model_validator(mode="after")
    def _a_mixture_is_of_the_latents(self) -> Self:
        if self.prior.family == "normal":
            return self
        if self.input.sizes or (self.latent.scaling, self.latent.shift) != (1.0, 0.0):
            raise ValueError(
                "a mixture prior needs latents of one size, as trained: leave out input.sizes, "
                "latent.scaling and latent.shift"
            )
        return self

    @model_validator(mode="after")
    def _latents_follow_the_sizes(self) -> Self:
        sizes, factor = self.input.sizes, self.latent.factor
        if sizes is None:
            return self
        if factor is None or sizes.multiple % factor:
            raise ValueError(
                "with input.sizes, latent.factor must be given and divide sizes.multiple, "
                f"{sizes.multiple}, got {factor}"
            )
        wanted = (self.latent.shape[0], self.input.height // factor, self.input.width // factor)
        if self.latent.shape != wanted:
            raise ValueError(f"latent.shape must be {list(wanted)}, got {list(self.latent.shape)}")
        if self.likelihood:
            msg = "a likelihood is defined for images of one size, so leave out input.sizes"
            raise ValueError(msg)
        return self

    @property
    def latent_axes(self) -> tuple[int, ...]:
        """The shape of a latent as a graph states it: −1 where its length varies."""
        if self.input.sizes:
            return (self.latent.shape[0], VARIES, VARIES)
        return self.latent.shape

    def latent_shape(self, height: int, width: int) -> tuple[int, ...]:
        """The shape of the latent of an image of that size, which is one that the model takes."""
        factor = self.latent.factor
        if self.input.sizes is None or factor is None:
            return self.latent.shape
        return (self.latent.shape[0], height // factor, width // factor)

    def image_size(self, latent: tuple[int, ...]) -> tuple[int, int]:
        """Height and width of the image of a latent of that shape."""
        factor = self.latent.factor
        if self.input.sizes is None or factor is None:
            return self.input.height, self.input.width
        return latent[1] * factor, latent[2] * factor

    @property
    def smallest_latent(self) -> tuple[int, ...]:
        """The shape of the latent of the smallest image."""
        sizes = self.input.sizes
        return self.latent_shape(sizes.min, sizes.min) if sizes else self.latent.shape
