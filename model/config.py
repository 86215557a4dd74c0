"""What a network is made of, and which likelihood it is trained with. No torch here."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

LOGVAR_LIMIT = 20.0
"""Both networks clamp log-variances to ±20, so that `exp` stays finite in float32."""

LEVELS = 256
"""Grey levels of a pixel value of 8 bits: 0, 1/255 … 1."""

SCALE_FLOOR = 1 / (LEVELS - 1)
"""A learned or optimal Gaussian scale never goes below one grey level: finer is not in 8-bit
data, and a density could be raised without end there."""

LOGISTIC_SCALE_FLOOR = 0.1 / (LEVELS - 1)
"""A logistic scale never goes below a tenth of a grey level: there the bin around the mean has a
probability of 0.987 already, and the rest is worth 0.013 nats a value."""


PositiveInt = Annotated[int, Field(gt=0, strict=True)]
"""Strict, as `true` would pass for 1."""


class Frozen(BaseModel):
    """Base of every configuration object: immutable, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class BernoulliConfig(Frozen):
    """p(x|z) = Bernoulli(sigmoid(params)), for pixels in {0, 1}.

    Grey pixels are no outcome of a Bernoulli variable, so data that is not binary has to be
    binarised: `sample` draws each pixel with its grey value as probability, anew in each epoch
    (dynamic binarisation); `threshold` cuts at 1/2; `none` is for data that is binary already.
    """

    family: Literal["bernoulli"] = "bernoulli"
    binarise: Literal["sample", "threshold", "none"] = "none"


class GaussianConfig(Frozen):
    """p(x|z) = N(params, scale² I) on pixels in [0, 1].

    `scale` is the standard deviation of every value, or where it comes from (Rybkin et al. 2021,
    "Simple and Effective VAE Training with Calibrated Decoders"): `learned` is trained along;
    `optimal` is the root mean squared error, of the minibatch in training and of the training
    pictures once trained. Both have the floor `SCALE_FLOOR`. Scale 1 is half the summed squared
    error; the unhalved squared error of the classic tutorial (Doersch 2016) is scale 1/√2.
    """

    family: Literal["gaussian"] = "gaussian"
    scale: Annotated[float, Field(gt=0)] | Literal["learned", "optimal"] = "learned"


class LogisticConfig(Frozen):
    """p(x|z) = the probability that a logistic variable of mean params rounds to x, for pixels of
    `LEVELS` grey levels: a distribution over grey levels where the Gaussian is a density.

    One scale a channel, trained along, with the floor `LOGISTIC_SCALE_FLOOR` (Kingma et al. 2016,
    "Improving Variational Inference with Inverse Autoregressive Flow"; Salimans et al. 2017,
    "PixelCNN++").
    """

    family: Literal["logistic"] = "logistic"


LikelihoodConfig = Annotated[
    BernoulliConfig | GaussianConfig | LogisticConfig, Field(discriminator="family")
]
Family = Literal["bernoulli", "gaussian", "logistic"]


class MlpConfig(Frozen):
    """Fully connected encoder and decoder; `hidden` lists the encoder's layers, mirrored."""

    architecture: Literal["mlp"] = "mlp"
    hidden: Annotated[tuple[PositiveInt, ...], Field(min_length=1)] = (512, 512)


class ConvConfig(Frozen):
    """Residual convolutional encoder and decoder.

    Each entry of `widths` is one halving of the picture with that many channels, followed by
    `blocks` residual blocks; `hidden` is the fully connected layer next to the latent.
    """

    architecture: Literal["conv"] = "conv"
    widths: Annotated[tuple[PositiveInt, ...], Field(min_length=2)] = (16, 32)
    blocks: Annotated[int, Field(ge=0, strict=True)] = 1
    hidden: PositiveInt = 256


NetworkConfig = Annotated[MlpConfig | ConvConfig, Field(discriminator="architecture")]


class ModelConfig(Frozen):
    """A VAE: the pictures' size, the latent's, the network and the likelihood.

    Raises:
        pydantic.ValidationError: a value is out of range, or a `conv` network's number of
            halvings does not divide the picture's size.
    """

    channels: Literal[1, 3] = 1
    height: PositiveInt = 28
    width: PositiveInt = 28
    latent_dim: PositiveInt = 32
    network: NetworkConfig = Field(default_factory=MlpConfig)
    likelihood: LikelihoodConfig = Field(default_factory=GaussianConfig)

    @property
    def latent_shape(self) -> tuple[int, ...]:
        return (self.latent_dim,)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(channels, height, width)."""
        return (self.channels, self.height, self.width)

    @property
    def dimensions(self) -> int:
        """The number of values that a likelihood is taken over: channels × height × width."""
        return self.channels * self.height * self.width

    @model_validator(mode="after")
    def _halvings_divide_the_picture(self) -> Self:
        if isinstance(self.network, ConvConfig):
            factor = 2 ** len(self.network.widths)
            if self.height % factor or self.width % factor:
                msg = (
                    f"a conv network with {len(self.network.widths)} halvings needs a height and "
                    f"width divisible by {factor}, got {self.height}×{self.width}"
                )
                raise ValueError(msg)
        return self
