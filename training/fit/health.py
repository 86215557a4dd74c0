"""The health of a run: what goes wrong is said early, with what to do about it."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from training.config.run import TrainingConfig
from training.errors import DivergedError, NotFiniteError
from training.fit.gradients import Gradients
from training.fit.running_sums import Figures
from training.fit.steadiness import Steadiness

_LEAST_KL = 0.1
"""Nats of the whole latent below which nothing of an image passes through it."""
_FEW_ACTIVE = 0.1


class Finding(NamedTuple):
    """Something to look at."""

    code: str
    """Each is said once in a run."""
    text: str


class Health:
    """What the steps' losses and gradients tell; it travels with the checkpoint."""

    def __init__(self) -> None:
        self.steadiness = Steadiness()
        self.gradients = Gradients()
        self.loss = self.norm = math.nan
        """Of the last step."""

    def add(self, loss: float, norm: float, rows: int, config: TrainingConfig) -> None:
        """After a backward pass: both numbers are finite, `rows` is the minibatch's length."""
        self.loss, self.norm = loss, norm
        self.gradients.add(norm, config.optimiser.clip_norm)
        self.steadiness.add(loss, rows / config.batch_size, config.model.dimensions)

    def state(self) -> dict[str, Any]:
        """To be saved."""
        return {
            "steadiness": dataclasses.asdict(self.steadiness),
            "gradients": dataclasses.asdict(self.gradients),
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Goes on from what `state` gave."""
        self.steadiness = Steadiness(**state["steadiness"])
        self.gradients = Gradients(**state["gradients"])

    def reset(self) -> None:
        """Begins the next epoch; the loss keeps its range."""
        self.gradients = Gradients()


def not_finite(step: int, what: str, kept: str) -> NotFiniteError:
    """The sentence for an overflow; `what` is not finite, `kept` says which checkpoint there is."""
    return NotFiniteError(
        f"step {step}: {what}; {kept}. Lower optimiser.learning_rate or optimiser.clip_norm, or "
        "set precision = float32."
    )


def diverged(step: int, health: Health, kept: str) -> DivergedError:
    """The sentence for a loss that jumped and stayed; `kept` says which checkpoint there is."""
    steadiness, gradients = health.steadiness, health.gradients
    return DivergedError(
        f"step {step}: the loss has exploded: {health.loss:.4g}, after a running mean of "
        f"{steadiness.mean:.4g}, and more than {steadiness.limit():.3g} above it for "
        f"{steadiness.beyond} steps; {kept}. Train anew with a lower optimiser.learning_rate, a "
        f"lower optimiser.clip_norm (norms were {gradients.mean:.3g} on average and "
        f"{gradients.largest:.3g} at most in this epoch), or more optimiser.warmup_steps."
    )


def examine(figures: Figures, *, warmed_up: bool) -> list[Finding]:
    """What the figures of an epoch give to worry about.

    Before the KL's weight has risen (`warmed_up`) a latent says little about what it will be.
    """
    active, dimensions = figures.active_units, figures.dimensions
    if not warmed_up:
        return []
    # Free bits bound the KL of single dimensions, which a mixture has not.
    free_bits = ", objective.free_bits" if figures.kl_per_dimension else ""
    if not active or figures.kl < _LEAST_KL:
        return [
            Finding(
                "collapse",
                f"the posterior has collapsed onto the prior: a KL of {figures.kl:.2g} nats, and "
                f"{active} of {dimensions} latent dimensions active, so that images don't depend "
                "on the latent. Train anew with a lower objective.kl_start and a longer "
                f"objective.kl_warmup{free_bits}, or a lower objective.beta; "
                "give a Gaussian likelihood a smaller scale or a learned one; a likelihood of your "
                "own must be a sum over pixels, not a mean.",
            )
        ]
    if active < _FEW_ACTIVE * dimensions:
        return [
            Finding(
                "few active units",
                f"only {active} of {dimensions} latent dimensions are active. Early in a run more "
                f"may follow; if they don't, take a longer objective.kl_warmup{free_bits}, or a "
                "smaller model.latent_dim.",
            )
        ]
    return []
