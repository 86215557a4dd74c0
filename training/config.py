"""The configuration of a training run: one frozen object, read from a TOML preset."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable, Sequence
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, model_validator

from model.config import (
    BernoulliConfig,
    CustomConfig,
    Frozen,
    GaussianConfig,
    ModelConfig,
    PositiveInt,
)
from model.manifest import InputSpec, Name, Preprocessing
from model.noise import MAX_SEED
from model.sources import SourceError, locate
from training.data_config import DataConfig, NonNegativeInt
from training.errors import ConfigError
from training.overrides import Override, apply_overrides, flatten, parse_override

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
    """λ in nats: a latent dimension's KL, averaged over the batch, costs at least as much, so that
    there is nothing to gain from emptying it (Kingma et al. 2016)."""
    samples: PositiveInt = 1
    """K, the draws of each picture. With several the bound is importance-weighted once β has risen
    (Burda et al. 2016), with the doubly reparameterised gradient (Tucker et al. 2019)."""
    gradient: Literal["total", "path"] = "total"
    """`path` leaves out the score of q(z|x) (Roeder et al. 2017, "Sticking the Landing")."""

    @model_validator(mode="after")
    def _importance_weights_bound_the_likelihood(self) -> Self:
        if self.samples > 1 and (self.beta != 1 or self.free_bits):
            msg = (
                f"samples = {self.samples} weights draws by importance, which bounds log p(x) only "
                "with beta = 1 and free_bits = 0: set them so, or samples = 1"
            )
            raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _free_bits_need_the_closed_form(self) -> Self:
        if self.free_bits and self.gradient == "path":
            msg = (
                "free_bits bounds the KL's closed form, which gradient = path does not use: "
                "set one of them back"
            )
            raise ValueError(msg)
        return self


class TuningConfig(Frozen):
    """Epochs after the others, on the importance-weighted bound: a higher likelihood, a lower ELBO.

    The learning rate starts anew and falls to 0 along half a cosine.
    """

    epochs: NonNegativeInt = 0
    samples: Annotated[int, Field(ge=2, strict=True)] = 8
    """K, the draws of each picture."""
    learning_rate: Annotated[float, Field(gt=0)] = 5e-4


class EvaluationConfig(Frozen):
    """How the test set is measured."""

    split: Literal["test", "validation"] = "test"
    """`validation` measures what settings may be chosen by; the test pictures are for the end."""
    samples: PositiveInt = 500
    """K, the importance samples for each picture."""
    pictures: NonNegativeInt = 0
    """How many of the split's pictures; 0 takes all."""
    binarise_seed: Seed = 20151
    importance_seed: Seed = 20152
    reference_pictures: NonNegativeInt = 5000
    """How many held-out pictures the bundle's reference is of; 0 takes all."""
    reference_seed: Seed = 20153
    """Of the reference's binarisation and importance samples."""
    quality: Literal["none", "mnist"] = "none"
    """Whether `run` measures samples too: as digits of MNIST, 28×28 and grey."""
    quality_seed: Seed = 20154
    """Of the latents of the samples that are measured."""


class BundleConfig(Frozen):
    """What the exported bundle is called and says of itself."""

    name: Name = "pictures"
    version: PositiveInt = 1
    licence: str = "unspecified"
    card: str = "A variational autoencoder."


class TrainingConfig(Frozen):
    """Everything that a run depends on.

    Raises:
        pydantic.ValidationError: an unknown key, or a value out of range.
    """

    model: ModelConfig = Field(default_factory=ModelConfig)
    data: DataConfig = Field(default_factory=DataConfig)
    optimiser: OptimiserConfig = Field(default_factory=OptimiserConfig)
    objective: ObjectiveConfig = Field(default_factory=ObjectiveConfig)
    tuning: TuningConfig = Field(default_factory=TuningConfig)
    evaluation: EvaluationConfig = Field(default_factory=EvaluationConfig)
    bundle: BundleConfig = Field(default_factory=BundleConfig)
    epochs: PositiveInt = 30
    batch_size: PositiveInt = 128
    seed: Seed = 0
    ema: Annotated[float, Field(ge=0, lt=1)] = 0.999
    """Decay of the weights' exponential moving average, which is what gets exported; 0: none."""
    init: str | None = None
    """A bundle, workdir or safetensors file whose weights the run starts from."""
    early_stop: NonNegativeInt = 0
    """Epochs without a better validation bound after which training ends; 0: never."""
    checkpoint_steps: NonNegativeInt = 0
    """Steps between checkpoints, besides the one after each epoch; 0: only those."""
    sample_epochs: PositiveInt = 5
    """Epochs between two sample grids in TensorBoard."""
    threads: NonNegativeInt = 0
    """CPU threads; 0 takes every core that affinity and CPU quota allow."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """`auto` takes bfloat16 where the processor computes with it natively; losses stay float32."""
    channels_last: bool = True
    """Whether the channels of a pixel lie side by side in memory, which suits convolutions."""
    compile: bool = False
    """Whether torch.compile makes programs of encoder and decoder before the first step."""

    @model_validator(mode="after")
    def _early_stop_has_a_validation_split(self) -> Self:
        if self.early_stop and not self.data.validation_share:
            msg = "early_stop watches the validation bound: set data.validation_share above 0"
            raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _optimal_scale_weighs_pictures_alike(self) -> Self:
        likelihood = self.model.likelihood
        optimal = isinstance(likelihood, GaussianConfig) and likelihood.scale == "optimal"
        if optimal and (self.tuning.epochs or self.objective.samples > 1):
            msg = (
                'model.likelihood.scale = "optimal" is the root mean squared error of draws of '
                "equal weight, and importance weights are not: set objective.samples = 1 and "
                'tuning.epochs = 0, or model.likelihood.scale = "learned"'
            )
            raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _tuning_follows_the_bound(self) -> Self:
        if self.tuning.epochs and (self.objective.beta != 1 or self.objective.free_bits):
            msg = (
                "tuning.epochs weights draws by importance, which bounds log p(x) only with "
                "objective.beta = 1 and objective.free_bits = 0: set them so, or tuning.epochs = 0"
            )
            raise ValueError(msg)
        if self.tuning.epochs and self.early_stop:
            msg = (
                "tuning.epochs lowers the ELBO that early_stop watches: set one of them to 0, and "
                "tune a run that stopped early from its bundle"
            )
            raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _free_bits_need_a_prior_with_a_closed_form(self) -> Self:
        if self.objective.free_bits and self.model.prior.family != "normal":
            msg = (
                "objective.free_bits bounds the KL of each latent dimension, which a "
                f"{self.model.prior.family} prior has no closed form for: set it to 0, or "
                "model.prior.family = normal"
            )
            raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _a_shift_leaves_a_part_of_the_picture(self) -> Self:
        shift, smallest = self.data.augment.shift, min(self.model.height, self.model.width)
        if shift >= smallest:
            msg = f"data.augment.shift must be below the picture's {smallest} pixels, got {shift}"
            raise ValueError(msg)
        return self

    @property
    def input(self) -> InputSpec:
        """The pictures that the encoder takes."""
        model = self.model
        return InputSpec(
            channels=model.channels,
            height=model.height,
            width=model.width,
            order="L" if model.channels == 1 else "RGB",
        )

    @property
    def preprocessing(self) -> Preprocessing:
        """How a picture is fitted to the model."""
        return Preprocessing(background=self.data.background)

    @property
    def binarise(self) -> Literal["sample", "threshold", "none"]:
        """How pictures are made binary; `none` for other likelihoods than the Bernoulli."""
        likelihood = self.model.likelihood
        return likelihood.binarise if isinstance(likelihood, BernoulliConfig) else "none"

    def identity(self) -> dict[str, object]:
        """Everything that decides the trained weights, by dotted key.

        Where pictures and the weights to start from lie, how often a run is saved or shown, and
        how a bundle is named or measured, is not part of it: fingerprints of the former are
        compared instead.
        """
        others = {"evaluation", "bundle", "checkpoint_steps", "sample_epochs", "init"}
        whole = self.model_dump(mode="json", exclude=others)
        for key in ("source", "id", "revision", "cache", "licence"):
            del whole["data"][key]
        network = whole["model"]["network"]
        network.pop("folder", None)
        if "options" in network:  # one value: an option that is taken out differs too
            network["options"] = json.dumps(network["options"], sort_keys=True)
        return flatten(whole)


def preset_names() -> list[str]:
    """The presets that ship with the package."""
    folder = resources.files("training") / "presets"
    return sorted(entry.name[:-5] for entry in folder.iterdir() if entry.name.endswith(".toml"))


def read_config(preset: str, overrides: Sequence[str | Override] = ()) -> TrainingConfig:
    """Reads a shipped preset by name, or a TOML file by path, and applies `key=value` texts.

    All of them are applied before anything is checked, so their order matters only where two set
    the same. A value is written as in TOML; what TOML doesn't understand is taken as a text.

    Raises:
        ConfigError: no such preset, broken TOML, an unknown key or a value out of range.
    """
    name, text = _preset_text(preset)
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        msg = f"{name}: not TOML: {error}"
        raise ConfigError(msg) from error
    config = _override(document, overrides, name)
    return _with_sources(config, dict.fromkeys((Path(preset).parent, Path())))


def _with_sources(config: TrainingConfig, folders: Iterable[Path]) -> TrainingConfig:
    """Finds the files of networks of one's own."""
    network = config.model.network
    if not isinstance(network, CustomConfig):
        return config
    try:
        located = locate(network, folders)
    except SourceError as error:
        raise ConfigError(str(error)) from error
    model = config.model.model_copy(update={"network": located})
    return config.model_copy(update={"model": model})


def override_config(config: TrainingConfig, overrides: Sequence[str | Override]) -> TrainingConfig:
    """The same configuration with `key=value` texts applied; errors as for `read_config`."""
    return _override(config.model_dump(mode="json"), overrides, "the run's settings")


def parse_config(content: bytes, name: str) -> TrainingConfig:
    """Reads a configuration that a run wrote as JSON; `name` is the file's, for errors."""
    try:
        return TrainingConfig.model_validate_json(content)
    except ValidationError as error:
        raise ConfigError(_describe(error, name)) from error


def _preset_text(preset: str) -> tuple[str, str]:
    shipped = resources.files("training") / "presets" / f"{preset}.toml"
    if preset in preset_names():
        return f"presets/{preset}.toml", shipped.read_text("utf-8")
    path = Path(preset)
    try:
        return str(path), path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        known = ", ".join(preset_names())
        msg = f"{preset!r} is neither a preset ({known}) nor a TOML file that can be read: {error}"
        raise ConfigError(msg) from error


def _override(
    document: dict[str, Any], overrides: Sequence[str | Override], name: str
) -> TrainingConfig:
    parsed = [parse_override(one) if isinstance(one, str) else one for one in overrides]
    apply_overrides(document, parsed)
    try:
        return TrainingConfig.model_validate(document)
    except ValidationError as error:
        raise ConfigError(_describe(error, name, parsed)) from error


def _describe(error: ValidationError, name: str, overrides: Sequence[Override] = ()) -> str:
    lines = []
    for entry in error.errors():
        tags = (
            *("mlp", "conv", "resnet", "custom", "bernoulli", "gaussian", "logistic"),
            *("normal", "mixture"),
        )
        key = ".".join(str(part) for part in entry["loc"] if part not in tags)
        unknown = entry["type"] == "extra_forbidden"
        what = "unknown key" if unknown else entry["msg"].removeprefix("Value error, ")
        guilty = [one.text for one in overrides if not key or one.concerns(key)]
        where = f"{name} with {' '.join(guilty)}" if guilty else name
        lines.append(f"{where}: {key}: {what}" if key else f"{where}: {what}")
    return "\n".join(lines)
