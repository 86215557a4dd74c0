"""How much memory a step of training takes, mostly from shapes alone."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

from model.config import CustomConfig
from model.vae import VAE
from training import objective
from training.config import ObjectiveConfig, TrainingConfig
from training.custom import build_vae

_COPIES = 5
"""Of the weights, all float32: themselves, their gradient, AdamW's two averages, and the moving
average."""


def training_bytes(config: TrainingConfig) -> int:
    """Bytes that weights, optimiser and activations of one minibatch need, in float32.

    Activations are what autograd keeps of one row for the backward pass. They are seen by running
    the forward pass on torch's meta device, where tensors have shapes and no content; networks of
    one's own, whose code may look at values, run on the CPU.

    The pictures of the data set and what libraries and single operations take for themselves come
    on top: the memory of runs grew by 1.1 to 1.6 times this, least where it was much. bfloat16
    halves most of the activations.

    Raises:
        ConfigError: a network of one's own can't be built.
    """
    own = isinstance(config.model.network, CustomConfig)
    with torch.random.fork_rng(devices=[]), torch.device("cpu" if own else "meta"):
        vae = build_vae(config.model)
        image = torch.zeros(1, *config.model.image_shape)
        noise = torch.zeros(1, _most_samples(config), *config.model.latent_shape)
    weights = sum(parameter.nbytes for parameter in vae.parameters())
    activations = _activation_bytes(config.objective, vae, image, noise)
    return _COPIES * weights + config.batch_size * activations


def _most_samples(config: TrainingConfig) -> int:
    """K, the draws of a picture, in the steps that have most."""
    tuning = config.tuning.samples if config.tuning.epochs else 1
    return max(config.objective.samples, tuning)


def _activation_bytes(config: ObjectiveConfig, vae: VAE, image: Tensor, noise: Tensor) -> int:
    """Bytes that autograd keeps of one row besides the weights."""
    parameters = {_storage(one) for one in vae.parameters()}
    kept: dict[int, Tensor] = {}

    def keep(tensor: Tensor) -> Tensor:
        # Held, so that its storage's number is not given to another.
        kept[_storage(tensor)] = tensor
        return tensor

    with saved_tensors_hooks(keep, lambda tensor: tensor):
        objective.evaluate(config, vae, image, vae(image, noise), beta=1.0)
    return sum(
        tensor.untyped_storage().nbytes()
        for number, tensor in kept.items()
        if number not in parameters
    )


def _storage(tensor: Tensor) -> int:
    """The number of its memory, which views share."""
    number: int = tensor.untyped_storage()._cdata
    return number
