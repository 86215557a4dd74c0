"""Requests' options and the JSON answers, as they appear in OpenAPI."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from model.bundle.reference import SAMPLES
from model.config import Family
from model.interpolation import Path
from model.noise import MAX_SEED

Seed = Annotated[
    int,
    Field(
        ge=0,
        le=MAX_SEED,
        description="Keys every random draw; the same seed gives the same answer. "
        "Drawn by the server, and echoed, when it is not given.",
    ),
]


class Options(BaseModel):
    """Base of the options: unknown names are errors, so that a typo is not silently ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class SampleOptions(Options):
    """What `/sample` draws."""

    n: int = Field(1, ge=1, description="How many images; the server's `VAE_MAX_N` bounds it.")
    seed: Seed | None = None
    temperature: float = Field(
        1.0,
        ge=0,
        le=10,
        allow_inf_nan=False,
        description="Standard deviation of the latents; below 1 draws more typical images.",
    )
    radius: float | None = Field(
        None,
        ge=0,
        le=100,
        allow_inf_nan=False,
        description="How far around one uploaded image to draw, in standard deviations of its "
        "posterior, 1 unless given; a JSON body has it inside `latents_near`.",
    )
    height: int | None = Field(
        None,
        ge=1,
        description="Of the images, for models that take many sizes; the model's own when not "
        "given.",
    )
    width: int | None = Field(None, ge=1, description="As `height`.")


class InterpolateOptions(Options):
    """Which way `/interpolate` goes, and how it shows it."""

    steps: int = Field(
        8, ge=2, description="How many images, both ends included; at most `VAE_MAX_N`."
    )
    path: Path = Field(
        "spherical",
        description="`spherical` turns the latent at equal angles while its norm changes evenly, "
        "and stays where latents are likely; `linear` is the straight line.",
    )
    milliseconds: int = Field(
        100,
        ge=20,
        le=10_000,
        description="How long an animated answer shows each image; GIF keeps hundredths of a "
        "second.",
    )
    bounce: bool = Field(
        False,
        description="Whether an animated answer also goes back, so that it repeats without a jump.",
    )


class EncodeOptions(Options):
    """`/encode` has no options: the encoder is deterministic."""


class DecodeOptions(Options):
    """`/decode` has no options beside the latents."""


class ReconstructOptions(Options):
    """What `/reconstruct` reports beside the images."""

    elbo_samples: int | None = Field(
        None,
        ge=1,
        description="Number K of importance samples: also estimates the ELBO and the "
        "importance-weighted bound on log p(x).",
    )
    binarise: Literal["sample", "threshold"] | None = Field(
        None,
        description="How grey pixels are made binary for the bound of a Bernoulli model; "
        "as it was trained when not given.",
    )
    seed: Seed | None = None


class ScoreOptions(Options):
    """How `/score` estimates its bounds."""

    samples: int = Field(
        SAMPLES,
        ge=1,
        description="Number K of importance samples; the server's `VAE_MAX_ELBO_SAMPLES` bounds "
        "it. Percentiles are there for the default alone.",
    )
    binarise: Literal["sample", "threshold"] | None = Field(
        None,
        description="How grey pixels are made binary for a Bernoulli model; as it was trained "
        "when not given.",
    )
    seed: Seed | None = None


class Answer(BaseModel):
    """Base of the JSON answers."""

    model_config = ConfigDict(frozen=True)


Png = Annotated[str, Field(description="A PNG file in base64.")]
Latents = Annotated[
    list[list[Any]],
    Field(description="One list for each image, nested as the model's latent shape is."),
]
Nats = Annotated[list[float], Field(description="One figure for each image, in nats.")]


class SampleAnswer(Answer):
    """Images drawn from the prior. Sending the seed again gives the same images."""

    model: str
    version: int
    n: int
    seed: int
    temperature: float | None = Field(description="Null beside `latents_near`.")
    images: list[Png]
    latents: Latents
    latents_near: NearAnswer | None = Field(
        description="What was drawn around; null where it was the prior."
    )


class NearAnswer(Answer):
    """Where the latents were drawn: z = center + radius · unit · ε with ε ~ N(0, I)."""

    center: list[float] = Field(
        description="The image's posterior mean, or the latent as sent; nested as the model's "
        "latent shape is."
    )
    radius: float
    unit: Literal["posterior", "prior"] = Field(
        description="Standard deviations of the image's posterior, or 1 around a bare latent."
    )
    picture: Picture | None = Field(description="Null for a bare latent.")


class Picture(Answer):
    """An uploaded image as it was, and what was done to fit it to the model, in order."""

    width: int
    height: int
    mode: str = Field(description="Pillow's name of the pixel format, such as L, RGB or RGBA.")
    steps: list[str]


class EncodeAnswer(Answer):
    """The posterior q(z|x) = N(mean, diag(exp(logvar))) of each image."""

    model: str
    version: int
    mean: Latents
    logvar: Latents
    pictures: list[Picture]


class InterpolateAnswer(Answer):
    """The images on the way from one latent to another, both ends included."""

    model: str
    version: int
    path: Path
    steps: int
    images: list[Png]
    latents: Latents
    seeds: list[int] | None = Field(description="The seeds of the ends; null for other ends.")
    pictures: list[Picture] | None = Field(
        description="The images at the ends; null for other ends."
    )


class DecodeAnswer(Answer):
    """The image of each latent."""

    model: str
    version: int
    images: list[Png]


class BoundsAnswer(Answer):
    """Bounds on log p(x) of each image, estimated with `samples` draws from its posterior."""

    elbo: Nats
    reconstruction: Annotated[
        list[float], Field(description="E[log p(x|z)], so that elbo = reconstruction − kl.")
    ]
    kl: Annotated[
        list[float],
        Field(
            description="KL[q(z|x) ‖ p(z)]: exact for the prior N(0, I); for a mixture, from the "
            "samples."
        ),
    ]
    importance_weighted: Annotated[
        list[float], Field(description="logsumexp(log w) − log K, tighter than the ELBO.")
    ]
    standard_error: Annotated[
        list[float | None],
        Field(
            description="Of `importance_weighted` over its K samples, by the delta method; "
            "null where K is 1."
        ),
    ]
    effective_sample_size: Annotated[
        list[float],
        Field(description="(Σ w)² / Σ w² of the importance weights, 1 … K: how many count."),
    ]
    bits_per_dimension: list[float] | None = Field(
        description="−importance_weighted / (dimensions · ln 2); null for a Gaussian, a density."
    )
    nats_per_dimension: list[float] | None = Field(
        description="−importance_weighted / dimensions of a Gaussian, which is a density; null for "
        "other likelihoods."
    )
    percentile: list[float] | None = Field(
        description="Per cent of the bundle's reference images whose `importance_weighted` is "
        "lower; null where the bundle has none, or none with these samples and binarisation."
    )
    samples: int
    seed: int
    likelihood: Family = Field(description="The decoder's, p(x|z).")
    binarised: Literal["sample", "threshold"] | None = Field(
        description="How grey pixels were made binary before they were encoded and scored; "
        "null where they were scored as they are."
    )
    dimensions: int = Field(description="Pixel values that each figure is a sum over.")
    unit: Literal["nats"] = "nats"


class ScoreAnswer(BoundsAnswer):
    """How likely the model finds each image."""

    model: str
    version: int
    pictures: list[Picture]


class ReconstructAnswer(Answer):
    """Each image's posterior mean, decoded."""

    model: str
    version: int
    images: list[Png]
    mean: Latents
    squared_error: Annotated[
        list[float],
        Field(description="Σ (x − reconstruction)² over pixels in [0, 1], for each image."),
    ]
    kl: list[float] | None = Field(
        description="KL[q(z|x) ‖ N(0, I)] of the image as sent, in nats; null where the model's "
        "prior is a mixture, whose KL has no closed form: `elbo_samples` estimates it in `bounds`."
    )
    pictures: list[Picture]
    bounds: BoundsAnswer | None = Field(description="Only when `elbo_samples` was given.")


class VersionAnswer(Answer):
    """One version on disk."""

    version: int
    state: Literal["loading", "ready", "unloading", "unavailable", "unloaded"]
    reason: str = Field(
        description="Why it does not serve, or could not be replaced by what is on disk."
    )


class ModelAnswer(Answer):
    """A model and the state of its versions."""

    name: str
    default: bool
    ready: bool
    serving: int | None = Field(
        description="The version that answers unless another is asked for; null when none does."
    )
    provider: str | None
    versions: list[VersionAnswer]
    verbs: list[str]
    stored: list[str] = Field(
        description="Which of `/models/{name}/latents` and `/models/{name}/card` the bundle that "
        "serves has."
    )
    manifest: dict[str, object] | None = Field(
        default=None, description="The serving bundle's manifest."
    )


class StoredLatentsAnswer(Answer):
    """Posterior means of images that the model was not trained on."""

    model: str
    version: int
    split: str = Field(description="Which images: `validation` or `test`.")
    n: int
    classes: list[str] = Field(description="Names that `labels` number from 0.")
    labels: list[int] = Field(description="The class of each image; −1 for none.")
    latents: Latents


class ModelsAnswer(Answer):
    """All models of the repository."""

    default: str | None
    models: list[ModelAnswer]


class LiveAnswer(Answer):
    """The process turns its event loop."""

    status: Literal["live"] = "live"


class ReadyAnswer(Answer):
    """Whether every required model serves, and if not, why."""

    status: Literal["ready", "not ready"]
    problems: list[str]
    warnings: list[str] = Field(
        description="Why versions do not serve, whether the server is ready or not."
    )


class ProblemAnswer(Answer):
    """An error, as RFC 9457 has it; members that do not apply are left out."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    request_id: str | None = None
    field: str | None = Field(default=None, description="The member, parameter or header.")
    index: int | None = Field(default=None, description="The image's position, from 0.")
    bound: float | None = Field(default=None, description="The limit that was passed.")
