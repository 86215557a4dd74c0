"""Learning rate, β and number of draws as functions of the step alone."""

from __future__ import annotations

import math
from dataclasses import dataclass

from training.config.run import TrainingConfig
from training.config.sections import ObjectiveConfig, OptimiserConfig


@dataclass(frozen=True)
class Schedule:
    """A run's steps: those of `epochs`, then those of `tuning.epochs`."""

    config: TrainingConfig
    steps_per_epoch: int

    @property
    def fitting_steps(self) -> int:
        """Steps before tuning starts."""
        return self.config.epochs * self.steps_per_epoch

    @property
    def tuning_steps(self) -> int:
        return self.config.tuning.epochs * self.steps_per_epoch

    @property
    def total_steps(self) -> int:
        return self.fitting_steps + self.tuning_steps

    def is_tuning(self, step: int) -> bool:
        return step >= self.fitting_steps

    def learning_rate(self, step: int) -> float:
        """The learning rate of a step; tuning has its own cosine, without a warm-up."""
        if not self.is_tuning(step):
            return learning_rate(self.config.optimiser, step, self.fitting_steps)
        progress = (step - self.fitting_steps) / self.tuning_steps
        return self.config.tuning.learning_rate * _half_cosine(progress)

    def beta(self, step: int) -> float:
        """The weight of the KL; it is 1 during tuning."""
        return beta(self.config.objective, step, self.fitting_steps)

    def samples(self, step: int) -> int:
        """K, the draws of each image."""
        tuning = self.is_tuning(step)
        return self.config.tuning.samples if tuning else self.config.objective.samples


def learning_rate(config: OptimiserConfig, step: int, total: int) -> float:
    """Linear from 0 over `warmup_steps`, then half a cosine down to `final_share` at `total`."""
    warmup = min(config.warmup_steps, total // 2)
    if step < warmup:
        return config.learning_rate * (step + 1) / warmup
    progress = (step - warmup) / max(1, total - warmup)
    remaining = config.final_share + (1 - config.final_share) * _half_cosine(progress)
    return config.learning_rate * remaining


def beta(config: ObjectiveConfig, step: int, total: int) -> float:
    """The KL's weight: linear from `kl_start` over the first `kl_warmup` of all steps."""
    warmup = config.kl_warmup * total
    progress = min(1.0, step / warmup) if warmup else 1.0
    return config.beta * (config.kl_start + (1 - config.kl_start) * progress)


def ema_decay(limit: float, step: int) -> float:
    """The decay of the moving average; lower at first, to forget the untrained weights."""
    return min(limit, (1 + step) / (10 + step))


def _half_cosine(progress: float) -> float:
    """From 1 down to 0."""
    return 0.5 * (1 + math.cos(math.pi * progress))
