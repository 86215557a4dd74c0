"""Whether the loss stays in its running range: what decides if a state is worth keeping."""

from __future__ import annotations

from dataclasses import dataclass

_RATE = 0.02
"""Weight of a new loss in the running mean and deviation: they remember about 50 steps."""
_DEVIATIONS = 20.0
_SMALLEST = 0.01
"""Least deviation, as a part of the loss: a jump must be a fifth of it at least."""
_NOISE = 3
"""So many steps beyond the range may be images that are odd, and nothing to end a run for."""
_PATIENCE = 500
_PART_OF_RUN = 0.1


@dataclass
class Steadiness:
    """The running range of the loss, in nats per image, from numbers that the host has anyway.

    A loss is beyond it if it exceeds the running mean by 20 mean absolute deviations. Such a loss
    does not move the range, so one that jumps and stays remains beyond it. Before the first steps
    have shown how much it varies, the range is as wide as the first loss is high.
    """

    mean: float = 0.0
    deviation: float = 0.0
    steps: int = 0
    """Steps seen."""
    beyond: int = 0
    """Steps in a row, up to the last, whose loss lay beyond the range."""

    def add(self, loss: float, share: float, dimensions: int) -> None:
        """After a step.

        Args:
            loss: finite, a mean over the minibatch's images.
            share: images of the minibatch, as a part of a whole one's: fewer scatter more.
            dimensions: values of an image; a nat for each is the least to start from.
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
        """How far a whole minibatch's loss may lie above the mean."""
        return _DEVIATIONS * max(self.deviation, _SMALLEST * abs(self.mean))

    @property
    def steady(self) -> bool:
        """Whether the last loss lay in the range."""
        return not self.beyond

    def is_lost(self, total_steps: int) -> bool:
        """Whether the loss has been beyond its range for 500 steps, or a tenth of the run."""
        return self.beyond >= max(_NOISE, min(_PATIENCE, round(_PART_OF_RUN * total_steps)))

    @property
    def is_noise(self) -> bool:
        """Whether no more than some odd minibatches were beyond the range."""
        return self.beyond < _NOISE
