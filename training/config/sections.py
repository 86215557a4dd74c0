"""The configuration's sections on how a run learns, is measured and is named."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from model.bundle.manifest import Name
from model.config import Frozen, PositiveInt
from model.noise import MAX_SEED
from training.config.data import NonNegativeInt

Seed = Annotated[int, Field(ge=0, le=MAX_SEED, strict=True)]


class OptimiserConfig(Frozen):
    """AdamW (Loshchilov & Hutter 2019) with a linear warm-up and a cosine decay."""

    learning_rate: Annotated[float, Field(gt=0)] = 1e-3
    final_share: Annotated[float, Field(ge=0, le=1)] = 0.0
    """The learning rate at the last step, as a part of `learning_rate`."""
    warmup_steps: NonNegativeInt = 100
    beta1: Annotated[float, Field(ge=0, lt=1)] = 0.9
    beta2: Annotated[float, Field(ge=0, lt=1)] = 0.99
    weight_decay: Annotated[float, Field(ge=0)] = 0.01
    clip_norm: Annotated[float, Field(gt=0)] = 200.0
    """Largest norm of the gradient; the loss is a sum over pixels, so norms are large."""


class ObjectiveConfig(Frozen):
    """log p(x|z) − β KL, with β rising linearly at the start, or the importance-weighted bound.

    Raises:
        pydantic.ValidationError: settings that exclude each other.
    """

    beta: Annotated[float, Field(gt=0)] = 1.0
    """1 is the evidence lower bound; other values are the β-VAE (Higgins et al. 2017)."""
    kl_start: Annotated[float, Field(ge=0, le=1)] = 0.1
    """β at the first step, as a part of `beta`."""
    kl_warmup: Annotated[float, Field(ge=0, le=1)] = 0.1
    """Part of all steps, those of `tuning` not counted, over which β rises."""
    free_bits: Annotated[float, Field(ge=0)] = 0.0
    """λ in nats: the least cost of a latent dimension's KL, averaged over the batch, so that
    training gains nothing by emptying the dimension (Kingma et al. 2016)."""
    samples: PositiveInt = 1
    """K, the draws of each image. With several the bound is importance-weighted once β has risen
    (Burda et al. 2016), with the doubly reparameterised gradient (Tucker et al. 2019)."""
    gradient: Literal["total", "path"] = "total"
    """`path` leaves out the score of q(z|x) (Roeder et al. 2017, "Sticking the Landing")."""

    @model_validator(mode="after")
    def _free_bits_need_the_closed_form(self) -> Self:
        if self.free_bits and self.gradient == "path":
            raise ValueError(
                "free_bits needs the KL's closed form, which gradient = path does not use: "
                "reset one of them"
            )
        return self


class TuningConfig(Frozen):
    """Epochs after the others, on the importance-weighted bound: a higher likelihood, a lower ELBO.

    The learning rate starts again and falls to 0 along half a cosine.
    """

    epochs: NonNegativeInt = 0
    samples: Annotated[int, Field(ge=2, strict=True)] = 8
    """K, the draws of each image."""
    learning_rate: Annotated[float, Field(gt=0)] = 5e-4


class EvaluationConfig(Frozen):
    """How the test set is measured."""

    split: Literal["test", "validation"] = "test"
    """`validation` for choosing settings; the test images are for the end."""
    samples: PositiveInt = 500
    """K, the importance samples for each image."""
    pictures: NonNegativeInt = 0
    """How many of the split's images; 0 takes all."""
    binarise_seed: Seed = 20151
    importance_seed: Seed = 20152
    reference_pictures: NonNegativeInt = 5000
    """How many held-out images the bundle's reference is of; 0 takes all."""
    reference_seed: Seed = 20153
    """Of the reference's binarisation and importance samples."""
    quality: Literal["none", "mnist"] = "none"
    """Whether `run` measures samples too: as digits of MNIST, 28×28 and grey."""
    quality_seed: Seed = 20154
    """Of the latents of the samples that are measured."""


class BundleConfig(Frozen):
    """The name, version, licence and description of the exported bundle."""

    name: Name = "pictures"
    version: PositiveInt = 1
    licence: str = "unspecified"
    card: str = "A variational autoencoder."
