"""Latents as they are served and as they were trained: (z − shift) · scaling and back."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from model.bundle.layout import LatentSpec
from model.pixels import Floats


@dataclass(frozen=True, slots=True)
class Scaling:
    """Scales a model's latents to about unit variance.

    `scaling` is not 0. All arrays are float32 of any shape; without scaling and shift they are
    returned unchanged.
    """

    scaling: float = 1.0
    shift: float = 0.0

    def served(self, trained: Floats) -> Floats:
        """(z − shift) · scaling; values beyond float32 become infinite."""
        if (self.scaling, self.shift) == (1.0, 0.0):
            return trained
        with np.errstate(over="ignore", invalid="ignore"):
            return (trained - np.float32(self.shift)) * np.float32(self.scaling)

    def trained(self, served: Floats) -> Floats:
        """z / scaling + shift; values beyond float32 become infinite."""
        if (self.scaling, self.shift) == (1.0, 0.0):
            return served
        with np.errstate(over="ignore", invalid="ignore"):
            return served / np.float32(self.scaling) + np.float32(self.shift)

    def served_logvar(self, logvar: Floats) -> Floats:
        """The log-variance of what `served` makes of z ~ N(mean, diag(exp(logvar)))."""
        if abs(self.scaling) == 1.0:
            return logvar
        return logvar + np.float32(2 * math.log(abs(self.scaling)))


def scaling_of(latent: LatentSpec) -> Scaling:
    """The one that a model's manifest gives."""
    return Scaling(latent.scaling, latent.shift)
