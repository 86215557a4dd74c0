"""The health of a run: finds divergence, overflow and a collapsed posterior early."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from training.config.run import TrainingConfig
from training.errors import DivergedError, NotFiniteError
from training.fit.running_sums import EpochMetrics

_LEAST_KL = 0.1
"""Nats; below this KL of the whole latent, the latent carries no information about the image."""
_FEW_ACTIVE = 0.1
"""Share of active dimensions below which a warning follows."""

_RATE = 0.02
"""Weight of a new loss in the running mean and deviation: about 50 steps of memory."""
_DEVIATIONS = 20.0
_LEAST_DEVIATION = 0.01
"""Smallest deviation, relative to the loss: only a rise by a fifth of the loss is a jump."""
_OUTLIERS = 3
"""Fewer high losses in a row than this are unusual minibatches, not divergence."""
_PATIENCE = 500
_PATIENCE_SHARE = 0.1


@dataclass
class DivergenceDetector:
    """Compares each loss, in nats per image, with its running mean and deviation.

    A loss is too high if it exceeds the running mean by 20 mean absolute deviations. Such a loss
    doesn't update the mean, so a loss that jumps and stays there remains too high. Before the first
    steps have shown the deviation, the first loss stands in for it.
    """

    mean: float = 0.0
    deviation: float = 0.0
    steps: int = 0
    """Steps seen."""
    beyond: int = 0
    """Number of consecutive steps, up to the last one, whose loss was too high."""

    def add(self, loss: float, share: float, dimensions: int) -> None:
        """Adds the loss of a step.

        Args:
            loss: finite, the mean over the minibatch's images.
            share: length of the minibatch relative to a full one; a shorter one varies more.
            dimensions: values of an image; the initial deviation is at least one nat for each.
        """
        if not self.steps:
            self.mean, self.deviation = loss, max(abs(loss), float(dimensions))
        self.steps += 1
        distance = loss - self.mean
        if distance > self.limit() / share**0.5:
            self.beyond += 1
            return
        self.beyond = 0
        self.mean += _RATE * distance
        self.deviation += _RATE * (abs(distance) * share**0.5 - self.deviation)

    def limit(self) -> float:
        """How far the loss of a full minibatch may exceed the mean."""
        return _DEVIATIONS * max(self.deviation, _LEAST_DEVIATION * abs(self.mean))

    @property
    def is_steady(self) -> bool:
        """Whether the last loss was normal."""
        return not self.beyond

    def has_diverged(self, total_steps: int) -> bool:
        """Whether the loss has been too high for 500 steps, or for a tenth of the run."""
        patience = min(_PATIENCE, round(_PATIENCE_SHARE * total_steps))
        return self.beyond >= max(_OUTLIERS, patience)

    @property
    def is_noise(self) -> bool:
        """Whether at most a few unusual minibatches had too high a loss."""
        return self.beyond < _OUTLIERS


@dataclass
class GradientNorms:
    """Sums over the gradient norms of an epoch, before clipping."""

    steps: int = 0
    total: float = 0.0
    largest: float = 0.0
    clipped: int = 0

    def add(self, norm: float, clip_norm: float) -> None:
        """Adds a finite norm; the gradient was clipped if it exceeds `clip_norm`."""
        self.steps += 1
        self.total += norm
        self.largest = max(self.largest, norm)
        self.clipped += norm > clip_norm

    @property
    def mean(self) -> float:
        """The mean norm; 0 before the first step."""
        return self.total / max(1, self.steps)

    @property
    def clipped_share(self) -> float:
        """The share of steps whose gradient was clipped, in 0 … 1."""
        return self.clipped / max(1, self.steps)


class Health:
    """The losses and gradients of a run; saved with each checkpoint."""

    def __init__(self) -> None:
        self.detector = DivergenceDetector()
        self.gradients = GradientNorms()
        self.loss = self.norm = math.nan
        """Of the last step."""

    def add(self, loss: float, norm: float, rows: int, config: TrainingConfig) -> None:
        """Adds a step: its loss and gradient norm, both finite, and its number of images."""
        self.loss, self.norm = loss, norm
        self.gradients.add(norm, config.optimiser.clip_norm)
        self.detector.add(loss, rows / config.batch_size, config.model.dimensions)

    def state(self) -> dict[str, Any]:
        """The state to save in a checkpoint."""
        return {
            "steadiness": dataclasses.asdict(self.detector),
            "gradients": dataclasses.asdict(self.gradients),
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Restores what `state` returned."""
        self.detector = DivergenceDetector(**state["steadiness"])
        self.gradients = GradientNorms(**state["gradients"])

    def reset(self) -> None:
        """Begins the next epoch: gradient norms start again, the loss's range stays."""
        self.gradients = GradientNorms()


class Finding(NamedTuple):
    """A warning about a run."""

    code: str
    """A run reports each code once."""
    text: str


def not_finite(step: int, what: str, kept: str) -> NotFiniteError:
    """The error for an overflow: `what` is not finite, `kept` names the remaining checkpoint."""
    return NotFiniteError(
        f"step {step}: {what}; {kept}. Lower optimiser.learning_rate or optimiser.clip_norm, or "
        "set precision = float32."
    )


def diverged(step: int, health: Health, kept: str) -> DivergedError:
    """The error for a loss that jumped and stayed high; `kept` names the remaining checkpoint."""
    detector, gradients = health.detector, health.gradients
    return DivergedError(
        f"step {step}: the loss has diverged: it is {health.loss:.4g}, its running mean was "
        f"{detector.mean:.4g}, and it has been more than {detector.limit():.3g} above that mean "
        f"for {detector.beyond} steps; {kept}. Train again with a lower optimiser.learning_rate, a "
        f"lower optimiser.clip_norm (gradient norms in this epoch: {gradients.mean:.3g} on "
        f"average, {gradients.largest:.3g} at most), or more optimiser.warmup_steps."
    )


def examine(metrics: EpochMetrics, *, warmed_up: bool) -> Finding | None:
    """A warning about an epoch's metrics: a posterior collapse, or few active units.

    Returns None before the KL's weight has reached its full value (`warmed_up`), because the
    latent still changes a lot until then.
    """
    active, dimensions = metrics.active_units, metrics.dimensions
    # Free bits limit the KL of single dimensions, which a mixture prior doesn't provide.
    free_bits = ", objective.free_bits" if metrics.kl_per_dimension else ""
    if warmed_up and (not active or metrics.kl < _LEAST_KL):
        return Finding(
            "collapse",
            f"the posterior has collapsed onto the prior: the KL is {metrics.kl:.2g} nats and "
            f"{active} of {dimensions} latent dimensions are active, so images don't depend "
            "on the latent. Train again with a lower objective.kl_start and a longer "
            f"objective.kl_warmup{free_bits}, or a lower objective.beta. A Gaussian likelihood "
            "needs a smaller or a learned scale. A custom likelihood must be a sum over "
            "pixels, not a mean.",
        )
    if warmed_up and active < _FEW_ACTIVE * dimensions:
        return Finding(
            "few active units",
            f"only {active} of {dimensions} latent dimensions are active. More may become "
            "active later in the run. If they don't, set a longer "
            f"objective.kl_warmup{free_bits}, or a smaller model.latent_dim.",
        )
    return None
