"""Networks, images, loss, optimiser and clock, which all loops share.

This module imports only `model`, so that the peers' environment can import it.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from model.config import BernoulliConfig, ConvConfig, MlpConfig, ModelConfig
from model.networks import elbo
from model.networks.vae import VAE
from model.pixels import Images

EPOCHS = 3
"""Of a round. The clock measures the second one, up to the first pass of the third."""
BATCH = 128
LEARNING_RATE = 1e-3
BETAS = (0.9, 0.99)


@dataclass(frozen=True, slots=True)
class Case:
    """A network, and the number of images of an epoch."""

    network: ConvConfig | MlpConfig
    latent_dim: int
    images: int

    @property
    def model(self) -> ModelConfig:
        """The model around the network."""
        return ModelConfig(
            latent_dim=self.latent_dim,
            network=self.network,
            likelihood=BernoulliConfig(family="bernoulli", binarise="sample"),
        )

    @property
    def steps(self) -> int:
        """Steps of an epoch."""
        return -(-self.images // BATCH)


CASES = {
    "tiny": Case(MlpConfig(architecture="mlp", hidden=(16,)), 2, 12_800),
    "conv": Case(ConvConfig(architecture="conv", widths=(16, 32), hidden=256), 32, 2_560),
    "mlp": Case(MlpConfig(architecture="mlp", hidden=(512, 512)), 40, 6_400),
    "wide": Case(ConvConfig(architecture="conv", widths=(48, 96), hidden=256), 32, 1_280),
}
"""`conv` is the network of the `mnist` preset. `tiny` is so small that the loop dominates, and
`wide` is only for the comparison of steps."""


def images(count: int) -> Images:
    """Random grey levels, uint8 [count, 28, 28, 1]; the cost of a step does not depend on them."""
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (count, 28, 28, 1), dtype=np.uint8)


def build(case: Case, *, channels_last: bool = True) -> VAE:
    """Builds the network with the same weights each time."""
    torch.manual_seed(0)
    vae = VAE(case.model)
    layout = torch.channels_last if channels_last else torch.contiguous_format
    return vae.to(memory_format=layout)  # type: ignore[call-overload, no-any-return]


def optimiser(parameters: Iterable[nn.Parameter], *, fused: bool = True) -> torch.optim.AdamW:
    """AdamW as in our trainer."""
    return torch.optim.AdamW(parameters, lr=LEARNING_RATE, betas=BETAS, fused=fused)


def binarised(grey: Tensor) -> Tensor:
    """Binarises uint8 [n, c, h, w] with new random numbers."""
    return (torch.rand(grey.shape) < grey.float() * (1 / 255)).float()


def loss(vae: VAE, bits: Tensor) -> Tensor:
    """The negative ELBO, averaged over the batch."""
    passed = vae(bits, torch.randn(len(bits), 1, *vae.config.latent_shape))
    divergence = elbo.kl(passed.mean, passed.logvar)
    return -elbo.elbo(vae.log_likelihood(bits, passed.params), divergence).mean()


@dataclass(frozen=True, slots=True)
class Taken:
    """Milliseconds of a step, including its share of the epoch's end."""

    wall: float
    cpu: float
    """CPU time of the whole process."""


class Clock:
    """Records when a network starts a pass, in any loop."""

    def __init__(self) -> None:
        self._stamps: list[tuple[float, float]] = []

    def install(self, network: type[nn.Module]) -> None:
        """Watches all networks of this class from now on."""
        forward = network.forward

        def watched(module: nn.Module, *arguments: Tensor) -> object:
            if arguments[0].device.type != "meta":  # a loop may inspect sizes on it before training
                self._stamps.append((time.perf_counter(), time.process_time()))
            return forward(module, *arguments)

        network.forward = watched

    @property
    def passes(self) -> int:
        """Passes so far."""
        return len(self._stamps)

    def taken(self, steps: int) -> Taken:
        """The mean time of a step, from the first pass of the second epoch to that of the third.

        Passes before the round's steps, such as a loop's check of the network, do not count.
        """
        stamps = self._stamps[-steps * EPOCHS :]
        wall, cpu = (
            (after - before) / steps * 1000
            for before, after in zip(stamps[steps], stamps[2 * steps], strict=True)
        )
        return Taken(wall, cpu)
