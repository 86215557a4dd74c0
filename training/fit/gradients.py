"""The norms of an epoch's gradients, as the optimiser was given them before clipping."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Gradients:
    """Sums over the steps of an epoch; they travel with the checkpoint."""

    steps: int = 0
    total: float = 0.0
    largest: float = 0.0
    clipped: int = 0

    def add(self, norm: float, clip_norm: float) -> None:
        """`norm` is finite; above `clip_norm` the gradient was scaled down to it."""
        self.steps += 1
        self.total += norm
        self.largest = max(self.largest, norm)
        self.clipped += norm > clip_norm

    @property
    def mean(self) -> float:
        """0 before the first step."""
        return self.total / max(1, self.steps)

    @property
    def clipped_share(self) -> float:
        """Part of the steps whose gradient was clipped."""
        return self.clipped / max(1, self.steps)
