"""How much memory a run will take, before any of it is taken.

The networks are built and run on torch's meta device, whose tensors have sizes and no contents;
what autograd keeps for the backward pass is counted as it is kept.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from model.config import CustomConfig
from model.networks.networks import parameter_count
from model.networks.vae import VAE
from training.config.run import TrainingConfig
from training.errors import ConfigError
from training.fit import objective
from training.fit.custom_networks import build_vae

_COPIES = 5
"""Of the weights: themselves, gradients, AdamW's two moments and the average."""
_CHECKPOINT_COPIES = 4
"""A checkpoint is put together in memory: all of the above but the gradients."""
_BEST_COPIES = 2
"""Early stopping keeps the best epoch's weights, and they are part of the checkpoint."""
_FLOAT32 = 4
_TRANSIENT = 1.25
"""Gradients of activations and the kernels' own buffers come on top of what is kept: measured on
conv networks of both kinds of images, 1.2 … 1.4 of it."""
_BFLOAT16 = 0.75
"""Mixed precision halves most of what is kept, and adds converted copies."""
_GIB = 2**30


@dataclass(frozen=True)
class Footprint:
    """Bytes that a run takes at its peak, besides those of Python and its libraries."""

    parameters: int
    """Number of trained values."""
    weights: int
    """Weights, gradients, optimiser, average, and a checkpoint that is being written."""
    activations: int
    """What a minibatch leaves for the backward pass."""
    images: int
    """The training images, where they are taken into memory."""

    @property
    def total(self) -> int:
        return self.weights + self.activations + self.images

    def describe(self) -> str:
        """The total and its parts, for people."""
        return (
            f"{_gib(self.total)} (weights, optimiser and checkpoint {_gib(self.weights)}, a "
            f"minibatch's activations {_gib(self.activations)}, images {_gib(self.images)})"
        )


def estimate_footprint(
    config: TrainingConfig, *, images: int = 0, bfloat16: bool = False
) -> Footprint:
    """The footprint of a run, in float32 or, for activations, bfloat16; `pictures` is the bytes of
    training images that are held in memory."""
    vae, activations = _measure(config)
    parameters = parameter_count(vae)
    copies = _COPIES + _CHECKPOINT_COPIES + (_BEST_COPIES if config.early_stop else 0)
    return Footprint(
        parameters=parameters,
        weights=parameters * _FLOAT32 * copies,
        activations=int(activations * _TRANSIENT * (_BFLOAT16 if bfloat16 else 1)),
        images=images,
    )


def require_memory(
    config: TrainingConfig, footprint: Footprint, available: int, *, on: str = "cpu"
) -> None:
    """Whether a run fits.

    Raises:
        ConfigError: it does not; says how much is missing and what to lower.
    """
    if footprint.total <= available:
        return
    fixed = footprint.total - footprint.activations
    fitting = int(config.batch_size * (available - fixed) / max(1, footprint.activations))
    if fitting >= 1:
        advice = f"set batch_size = {_round_down(fitting)} (it is {config.batch_size})"
    else:
        advice = "lower model.height and model.width, or the sizes in model.network"
    msg = (
        f"this run would take about {footprint.describe()}, and {_gib(max(0, available))} are free "
        f"on {on}: {advice}"
    )
    raise ConfigError(msg)


def _measure(config: TrainingConfig) -> tuple[VAE, int]:
    """The networks, and what a training step keeps of a minibatch, in bytes."""
    # Networks of one's own may do what needs contents: one image shows them the way.
    own = isinstance(config.model.network, CustomConfig)
    with torch.random.fork_rng(devices=[]), torch.device("cpu" if own else "meta"):
        vae = build_vae(config.model)
        if own:
            return vae, _kept_for_backward(vae, config, 1) * config.batch_size
        return vae, _kept_for_backward(vae, config, config.batch_size)


def _kept_for_backward(vae: VAE, config: TrainingConfig, count: int) -> int:
    """Bytes that a training step on `count` images keeps, weights not counted."""
    kept: dict[int, Tensor] = {}
    weights = {id(parameter) for parameter in vae.parameters()}

    def pack(tensor: Tensor) -> Tensor:
        if weights.isdisjoint((id(tensor), id(tensor._base))):
            kept[id(tensor)] = tensor  # held, so that no other gets its id
        return tensor

    model = config.model
    samples = max(config.objective.samples, config.tuning.samples if config.tuning.epochs else 1)
    images = torch.zeros(count, *model.image_shape)
    noise = torch.zeros(count, samples, *model.latent_shape)
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        objective.evaluate(config.objective, vae, images, vae(images, noise), 1.0)
    return sum(tensor.numel() * tensor.element_size() for tensor in kept.values())


def _gib(size: int) -> str:
    return f"{size / _GIB:.1f} GiB" if size >= _GIB else f"{size / 2**20:.0f} MiB"


def _round_down(count: int) -> int:
    """To a power of two, which is what people set."""
    return 1 << (count.bit_length() - 1)
