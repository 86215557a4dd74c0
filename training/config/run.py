"""The configuration of a training run: one frozen object."""

from __future__ import annotations

import json
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from model.bundle.manifest import InputSpec, Preprocessing
from model.config import Binarisation, Frozen, ModelConfig, PositiveInt
from training.config.data import DataConfig, NonNegativeInt
from training.config.overrides import flatten
from training.config.sections import (
    BundleConfig,
    EvaluationConfig,
    ObjectiveConfig,
    OptimiserConfig,
    Seed,
    TuningConfig,
)


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
    """Decay of the exported moving average of the weights; 0 exports the last weights."""
    init: str | None = None
    """A bundle, workdir or safetensors file whose weights the run starts from."""
    early_stop: NonNegativeInt = 0
    """Epochs without a better validation bound after which training ends; 0: never."""
    checkpoint_steps: NonNegativeInt = 0
    """Steps between additional checkpoints; 0: only one after each epoch."""
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
    def _settings_fit_together(self) -> Self:
        """Early stopping needs validation images, and the bound that is trained; free bits need a
        prior with a closed form; a shift leaves a part of the image."""
        prior, shift = self.model.prior.family, self.data.augment.shift
        smallest = min(self.model.height, self.model.width)
        for is_wrong, text in (
            (
                self.early_stop and not self.data.validation_share,
                "early_stop watches the validation bound: set data.validation_share above 0",
            ),
            (
                self.tuning.epochs and self.early_stop,
                "tuning.epochs lowers the ELBO that early_stop watches: set one of them to 0, and "
                "tune a run that stopped early from its bundle",
            ),
            (
                self.objective.free_bits and prior != "normal",
                "objective.free_bits needs the KL of each latent dimension, which a "
                f"{prior} prior does not have: set it to 0, or "
                "model.prior.family = normal",
            ),
            (
                shift >= smallest,
                f"data.augment.shift must be below the image's {smallest} pixels, got {shift}",
            ),
        ):
            if is_wrong:
                raise ValueError(text)
        return self

    @model_validator(mode="after")
    def _importance_weights_bound_the_likelihood(self) -> Self:
        settings = (
            ("objective.samples", self.objective.samples, 1),
            ("tuning.epochs", self.tuning.epochs, 0),
        )
        weighted = [
            (f"{key} = {value}", f"{key} = {off}") for key, value, off in settings if value != off
        ]
        # An optimal scale is the root mean squared error of draws of equal weight.
        wrong = {
            "objective.beta = 1": self.objective.beta != 1,
            "objective.free_bits = 0": self.objective.free_bits != 0,
            'model.likelihood.scale = "learned" or a number': self.model.likelihood.is_optimal,
        }
        needed = " and ".join(text for text, is_wrong in wrong.items() if is_wrong)
        if weighted and needed:
            given, instead = (" and ".join(texts) for texts in zip(*weighted, strict=True))
            msg = (
                f"{given}: importance weights bound log p(x) only with {needed}; set that, or "
                f"{instead}"
            )
            raise ValueError(msg)
        return self

    @property
    def input(self) -> InputSpec:
        """The images that the encoder takes."""
        size = self.model.model_dump(include={"channels", "height", "width"})
        return InputSpec(**size, order="L" if self.model.channels == 1 else "RGB")

    @property
    def preprocessing(self) -> Preprocessing:
        """How an image is fitted to the model."""
        return Preprocessing(background=self.data.background)

    @property
    def binarise(self) -> Binarisation:
        """How images are binarised; `none` for likelihoods other than Bernoulli."""
        return self.model.likelihood.binarisation or "none"

    def identity(self) -> dict[str, object]:
        """Everything that decides the trained weights, by dotted key.

        Where images and the weights to start from lie, how often a run is saved or shown, and
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
