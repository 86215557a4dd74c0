"""Settings of the network, likelihood and prior. This module does not need torch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue, model_validator

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


SMALLEST_SCALE = 1e-6
"""Of a likelihood: far below a grey level, and float32 still holds its square's inverse."""

MOST = 2**31 - 1
"""The limit of every integer: the largest in 32 bits, far beyond any trainable size."""
PositiveInt = Annotated[int, Field(gt=0, le=MOST, strict=True)]
"""Strict, as `true` would pass for 1."""
Blocks = Annotated[int, Field(ge=0, strict=True)]
"""A number of residual blocks."""


class Frozen(BaseModel):
    """Base of every configuration object: immutable, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


Binarisation = Literal["sample", "threshold", "none"]
"""How images are binarised before they are scored; `none`: not at all."""


ScaleSource = Literal["learned", "optimal"]
"""Where a scale comes from: trained along with the networks, or computed from images."""


class LikelihoodOptions(Frozen):
    """Base of the options of a family of likelihoods."""

    @property
    def binarisation(self) -> Binarisation | None:
        """How grey images are made binary; None: the family takes them as they are."""
        return None

    @property
    def chosen_scale(self) -> float | ScaleSource | None:
        """The scale or where it comes from; None: the family has no scale."""
        return None

    @property
    def is_optimal(self) -> bool:
        """Whether the scale follows from images, so that the weights alone make no likelihood."""
        return self.chosen_scale == "optimal"


class BernoulliConfig(LikelihoodOptions):
    """p(x|z) = Bernoulli(sigmoid(params)), for pixels in {0, 1}.

    A Bernoulli variable has no grey values, so grey images must be binarised: `sample` draws each
    pixel in each epoch with its grey value as the probability (dynamic binarisation); `threshold`
    cuts at 1/2; `none` is for binary images.
    """

    family: Literal["bernoulli"] = "bernoulli"
    binarise: Binarisation = "none"

    @property
    def binarisation(self) -> Binarisation:
        return self.binarise


class GaussianConfig(LikelihoodOptions):
    """p(x|z) = N(params, scale² I) on pixels in [0, 1].

    `scale` is the standard deviation of every value, or where it comes from (Rybkin et al. 2021,
    "Simple and Effective VAE Training with Calibrated Decoders"): `learned` is trained along;
    `optimal` is the root mean squared error, of the minibatch in training and of the training
    images once trained. Both have the floor `SCALE_FLOOR`. Scale 1 is half the summed squared
    error; the unhalved squared error of the classic tutorial (Doersch 2016) is scale 1/√2.
    """

    family: Literal["gaussian"] = "gaussian"
    scale: Annotated[float, Field(ge=SMALLEST_SCALE)] | ScaleSource = "learned"

    @property
    def chosen_scale(self) -> float | ScaleSource:
        return self.scale


class LogisticConfig(LikelihoodOptions):
    """p(x|z) = the probability that a logistic variable of mean params rounds to x, for pixels of
    `LEVELS` grey levels: a distribution over grey levels where the Gaussian is a density.

    One scale a channel, trained along, with the floor `LOGISTIC_SCALE_FLOOR` (Kingma et al. 2016,
    "Improving Variational Inference with Inverse Autoregressive Flow"; Salimans et al. 2017,
    "PixelCNN++").
    """

    family: Literal["logistic"] = "logistic"

    @property
    def chosen_scale(self) -> ScaleSource:
        return "learned"


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

    Each entry of `widths` is one halving of the image with that many channels, followed by
    `blocks` residual blocks; `hidden` is the fully connected layer next to the latent.
    """

    architecture: Literal["conv"] = "conv"
    widths: Annotated[tuple[PositiveInt, ...], Field(min_length=2)] = (16, 32)
    blocks: Blocks = 1
    hidden: PositiveInt = 256

    @property
    def factor(self) -> int:
        """How many pixels a side of the smallest resolution's cells has."""
        return int(2 ** len(self.widths))


class ResnetConfig(Frozen):
    """Residual encoder and decoder that scale with width and depth.

    The image is first cut into patches of `patch` × `patch` pixels, 1 leaving the full
    resolution. Each entry of `widths` is one resolution with that many channels, half the one
    before, with `blocks` residual blocks: one number for all, or one for each. The decoder goes
    back through the same resolutions, finest last, with its own widths and blocks where they are
    given, in the encoder's order. `hidden` is the fully connected layer beside a latent vector;
    a latent map has none.

    Raises:
        pydantic.ValidationError: a list has not one entry for each of `widths`.
    """

    architecture: Literal["resnet"] = "resnet"
    widths: Annotated[tuple[PositiveInt, ...], Field(min_length=1)] = (32, 64)
    blocks: Blocks | tuple[Blocks, ...] = 2
    patch: Literal[1, 2, 4, 8] = 2
    hidden: PositiveInt = 256
    decoder_widths: tuple[PositiveInt, ...] | None = None
    decoder_blocks: Blocks | tuple[Blocks, ...] | None = None

    @property
    def factor(self) -> int:
        """As for `ConvConfig`."""
        return int(self.patch * 2 ** (len(self.widths) - 1))

    @property
    def encoder_stages(self) -> tuple[tuple[int, int], ...]:
        """(channels, residual blocks) of each resolution, finest first."""
        return self._stages(self.widths, self.blocks)

    @property
    def decoder_stages(self) -> tuple[tuple[int, int], ...]:
        """The decoder's, finest first too."""
        blocks = self.blocks if self.decoder_blocks is None else self.decoder_blocks
        return self._stages(self.decoder_widths or self.widths, blocks)

    @staticmethod
    def _stages(widths: Sequence[int], blocks: int | Sequence[int]) -> tuple[tuple[int, int], ...]:
        counts = (blocks,) * len(widths) if isinstance(blocks, int) else tuple(blocks)
        return tuple(zip(widths, counts, strict=True))

    @model_validator(mode="after")
    def _lists_have_an_entry_for_each_resolution(self) -> Self:
        for name in ("blocks", "decoder_widths", "decoder_blocks"):
            value = getattr(self, name)
            if isinstance(value, tuple) and len(value) != len(self.widths):
                msg = f"{name} needs {len(self.widths)} entries, as widths has, got {len(value)}"
                raise ValueError(msg)
        return self


ClassName = Annotated[str, Field(pattern=r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*$")]
"""`module:Class`."""


class CustomConfig(Frozen):
    """A custom encoder and decoder, each a `torch.nn.Module` in a custom file.

    Both are called with (image_shape, latent_shape) and `options` by name; docs/training.md has
    the contract. `folder` holds their files, and `source_sha256` is the files': both are filled in
    where a preset is read.
    """

    architecture: Literal["custom"] = "custom"
    encoder: ClassName
    decoder: ClassName
    options: dict[str, JsonValue] = {}
    folder: str | None = None
    source_sha256: str | None = None


NetworkConfig = Annotated[
    MlpConfig | ConvConfig | ResnetConfig | CustomConfig, Field(discriminator="architecture")
]


class NormalPriorConfig(Frozen):
    """p(z) = N(0, I)."""

    family: Literal["normal"] = "normal"


class MixturePriorConfig(Frozen):
    """p(z) = Σ w_k N(mean_k, diag(scale_k²)), trained along with the networks.

    The plain learned prior that Tomczak & Welling 2018, "VAE with a VampPrior", compare theirs
    with. Its KL has no closed form, so the ELBO takes log p(z) of the draws.
    """

    family: Literal["mixture"]
    components: PositiveInt = 64


PriorConfig = Annotated[NormalPriorConfig | MixturePriorConfig, Field(discriminator="family")]


class ModelConfig(Frozen):
    """A VAE: the images' size, the latent's, the network, the likelihood and the prior.

    Raises:
        pydantic.ValidationError: a value is out of range, the network's halvings do not divide
            the image's size, or it has no latent map of that shape.
    """

    channels: Literal[1, 3] = 1
    height: PositiveInt = 28
    width: PositiveInt = 28
    latent_dim: PositiveInt = 32
    latent_map: tuple[PositiveInt, PositiveInt, PositiveInt] | None = None
    """(channels, height, width) of a spatial latent, which takes the vector's place."""
    network: NetworkConfig = Field(default_factory=MlpConfig)
    likelihood: LikelihoodConfig = Field(default_factory=GaussianConfig)
    prior: PriorConfig = Field(default_factory=NormalPriorConfig)

    @property
    def latent_shape(self) -> tuple[int, ...]:
        """(d,) of a vector, (channels, height, width) of a map."""
        return self.latent_map or (self.latent_dim,)

    @property
    def latent_dimensions(self) -> int:
        """The number of values of a latent."""
        return math.prod(self.latent_shape)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(channels, height, width)."""
        return (self.channels, self.height, self.width)

    @property
    def dimensions(self) -> int:
        """The number of values that a likelihood is taken over: channels × height × width."""
        return self.channels * self.height * self.width

    @model_validator(mode="after")
    def _halvings_divide_the_image(self) -> Self:
        network = self.network
        if not isinstance(network, ConvConfig | ResnetConfig):
            return self
        factor = network.factor
        if self.height % factor or self.width % factor:
            raise ValueError(
                f"a {network.architecture} network that makes one cell of {factor}×{factor} pixels "
                f"needs a height and width divisible by {factor}, got {self.height}×{self.width}"
            )
        return self

    @model_validator(mode="after")
    def _the_network_has_such_a_map(self) -> Self:
        network, shape = self.network, self.latent_map
        if shape is None or isinstance(network, CustomConfig):
            return self
        if isinstance(network, MlpConfig | ConvConfig):
            raise ValueError(
                f"latent_map: a {network.architecture} network has a latent vector; use latent_dim"
            )
        wanted = (shape[0], self.height // network.factor, self.width // network.factor)
        if shape != wanted:
            raise ValueError(
                f"latent_map must be [{shape[0]}, {wanted[1]}, {wanted[2]}], the network's "
                f"smallest resolution, or any other number of channels; got {list(shape)}"
            )
        return self
