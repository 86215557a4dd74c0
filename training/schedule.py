"""What changes while training, each as a function of the step alone and never of the clock."""

from __future__ import annotations

import math

from training.config import ObjectiveConfig, OptimiserConfig


def learning_rate(config: OptimiserConfig, step: int, total: int) -> float:
    """Linear from 0 over `warmup_steps`, then half a cosine down to `final_share` at `total`."""
    warmup = min(config.warmup_steps, total // 2)
    if step < warmup:
        return config.learning_rate * (step + 1) / warmup
    progress = (step - warmup) / max(1, total - warmup)
    cosine = 0.5 * (1 + math.cos(math.pi * progress))
    return config.learning_rate * (config.final_share + (1 - config.final_share) * cosine)


def beta(config: ObjectiveConfig, step: int, total: int) -> float:
    """The KL's weight: linear from `kl_start` over the first `kl_warmup` of all steps."""
    warmup = config.kl_warmup * total
    progress = min(1.0, step / warmup) if warmup else 1.0
    return config.beta * (config.kl_start + (1 - config.kl_start) * progress)


def ema_decay(limit: float, step: int) -> float:
    """The moving average's decay; lower at first, so that it forgets the untrained weights."""
    return min(limit, (1 + step) / (10 + step))
