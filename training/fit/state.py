"""What a training step changes: networks, moving average, optimiser and counters."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from model.networks.vae import VAE
from training.config.run import TrainingConfig
from training.data.minibatches import Draw, generator
from training.fit import schedule
from training.fit.checkpoint import Checkpoint, Weights
from training.fit.custom_networks import build_vae
from training.fit.health import Health
from training.fit.running_sums import RunningSums
from training.fit.warm_start import Initial

_SCALE_SPEED = 10.0
"""Factor on the learning rate of a learned scale, which otherwise moves too little in the few steps
that a small folder of images allows."""


_COUNTERS = (
    "step", "seconds", "cpu_seconds", "best_bound", "best_epoch", "best_step", "best_weights",
)  # fmt: skip
"""Attributes that a checkpoint holds under the same name."""


class State:
    """The state of a run between two steps."""

    def __init__(
        self, config: TrainingConfig, device: torch.device, initial: Initial | None = None
    ) -> None:
        """Begins a run with random weights, or with those of `initial`.

        Raises:
            ConfigError: `initial` does not match the network.
        """
        self.config = config
        self.initial = initial.sha256 if initial else ""
        self.vae = _build(config, device, initial)
        self.ema = _build(config, device, initial).requires_grad_(requires_grad=False).eval()
        # Listed once, because walking the modules takes a tenth of a small network's step.
        self.parameters: list[Tensor] = list(self.vae.parameters())
        self._averages: list[Tensor] = list(self.ema.parameters())
        self.optimiser = torch.optim.AdamW(
            _parameter_groups(self.vae, config),
            betas=(config.optimiser.beta1, config.optimiser.beta2),
            fused=True,
        )
        self.sums = RunningSums(
            config.model.latent_dimensions, device, divided=self.vae.prior is None
        )
        self.health = Health()
        self.step = 0
        self.seconds = 0.0
        self.cpu_seconds = 0.0
        self.best_bound = -math.inf
        self.best_epoch = 0
        self.best_weights: dict[str, torch.Tensor] = {}
        self.best_step = 0
        self.saved_step = 0
        """The step of the last checkpoint; 0 before the first."""

    def set_learning_rate(self, rate: float) -> None:
        """Sets the next step's learning rate."""
        for group in self.optimiser.param_groups:
            group["lr"] = rate * group["speed"]

    @property
    def learning_rate(self) -> float:
        """The learning rate of the last step."""
        return float(self.optimiser.param_groups[0]["lr"])

    def average(self) -> None:
        """Moves the averaged weights towards the current ones."""
        decay = schedule.ema_decay(self.config.ema, self.step)
        with torch.no_grad():
            torch._foreach_lerp_(self._averages, self.parameters, 1 - decay)

    def remember_if_best(self, bound: float, epoch: int) -> None:
        """Keeps the averaged weights if this epoch has the best validation bound so far."""
        if bound > self.best_bound:
            self.best_bound, self.best_epoch, self.best_step = bound, epoch, self.step
            self.best_weights = {
                name: tensor.clone() for name, tensor in self.ema.state_dict().items()
            }

    def is_finite(self) -> bool:
        """Whether every weight is finite, averaged weights included."""
        parameters = (*self.vae.parameters(), *self.ema.parameters())
        return bool(torch.stack([tensor.isfinite().all() for tensor in parameters]).all())

    def weights(self) -> Weights:
        """The weights to export: the best epoch's under early stopping, otherwise the last."""
        kind = "ema" if self.config.ema else "raw"
        if self.best_weights:
            return Weights(self.best_weights, kind, self.best_step)
        return Weights(self.ema.state_dict(), kind, self.step)

    def checkpoint(self, fingerprints: Mapping[str, str]) -> Checkpoint:
        """The whole state, to write to disk."""
        return Checkpoint(
            **{name: getattr(self, name) for name in _COUNTERS},
            model=self.vae.state_dict(),
            ema=self.ema.state_dict(),
            optimiser=self.optimiser.state_dict(),
            totals=self.sums.state(),
            health=self.health.state(),
            identity=self.config.identity(),
            fingerprints=dict(fingerprints),
            initial=self.initial,
        )

    def kept(self) -> str:
        """Which checkpoint remains if the run ends now, for error messages."""
        if self.saved_step:
            return f"the last good checkpoint, of step {self.saved_step}, is kept"
        return "no checkpoint is kept"

    def load(self, checkpoint: Checkpoint) -> None:
        """Continues from a checkpoint."""
        self.vae.load_state_dict(checkpoint.model)
        self.ema.load_state_dict(checkpoint.ema)
        self.optimiser.load_state_dict(checkpoint.optimiser)
        self.sums.load(checkpoint.totals)
        self.health.load(checkpoint.health)
        for name in _COUNTERS:
            setattr(self, name, getattr(checkpoint, name))
        self.saved_step = self.step


def _build(config: TrainingConfig, device: torch.device, initial: Initial | None) -> VAE:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(generator(torch.device("cpu"), config.seed, Draw.WEIGHTS).initial_seed())
        vae = build_vae(config.model)
    if initial:
        initial.put_into(vae)
    layout = torch.channels_last if config.channels_last else torch.contiguous_format
    vae.to(device).to(memory_format=layout)  # type: ignore[call-overload]
    return vae


def _parameter_groups(vae: nn.Module, config: TrainingConfig) -> list[dict[str, Any]]:
    matrices: list[Tensor] = []
    vectors: list[Tensor] = []
    scale: list[Tensor] = []
    for name, parameter in vae.named_parameters():
        # Weight decay would pull the prior's means and log-variances, and so the latents, to 0.
        decays = parameter.ndim > 1 and not name.startswith("prior.")
        group = scale if name == "log_scale" else matrices if decays else vectors
        group.append(parameter)
    groups = (
        (matrices, config.optimiser.weight_decay, 1.0),
        (vectors, 0.0, 1.0),
        (scale, 0.0, _SCALE_SPEED),
    )
    return [
        {"params": parameters, "weight_decay": decay, "speed": speed}
        for parameters, decay, speed in groups
        if parameters
    ]
