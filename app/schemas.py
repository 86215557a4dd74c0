"""Requests' options and the JSON answers, as they appear in OpenAPI."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

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

    n: int = Field(1, ge=1, description="How many pictures; the server's `VAE_MAX_N` bounds it.")
    seed: Seed | None = None
    temperature: float = Field(
        1.0,
        ge=0,
        le=10,
        allow_inf_nan=False,
        description="Standard deviation of the latents; below 1 draws more typical pictures.",
    )


class EncodeOptions(Options):
    """`/encode` has no options: the encoder is deterministic."""


class DecodeOptions(Options):
    """`/decode` has no options beside the latents."""


class ReconstructOptions(Options):
    """What `/reconstruct` reports beside the pictures."""

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
