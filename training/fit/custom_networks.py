"""Builds networks, and checks custom networks before training.

An exported network must be deterministic, and must not depend on other rows of the batch or on the
training mode.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd

from model.bundle.sources import SourceError
from model.config import CustomConfig, ModelConfig
from model.networks.vae import VAE
from training.errors import ConfigError

_ROWS = 3
_RTOL, _ATOL = 1e-3, 1e-4
"""A single row uses other kernels than a batch, so results differ in their last bits."""


def build_vae(model: ModelConfig) -> VAE:
    """Builds the VAE with its initial weights.

    Raises:
        ConfigError: a custom network can't be imported or built.
    """
    try:
        return VAE(model)
    except SourceError as error:
        raise ConfigError(str(error)) from error


def check_networks(model: ModelConfig) -> None:
    """Runs custom networks on a few rows; other networks need no check.

    Raises:
        ConfigError: a network can't be built, returns wrong shapes, has no weights, is random, or
            depends on the batch or on the training mode.
    """
    network = model.network
    if not isinstance(network, CustomConfig):
        return
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        vae = build_vae(model)
        trained = (*vae.encoder.parameters(), *vae.decoder.parameters())
        if not any(parameter.requires_grad for parameter in trained):
            raise ConfigError(f"{network.encoder} and {network.decoder} have no weights to train")
        images, latents = (
            torch.rand(_ROWS, *model.image_shape),
            torch.randn(_ROWS, *model.latent_shape),
        )
        _check(network.encoder, vae.encoder.body, images, ("mean", "logvar"), model.latent_shape)
        _check(network.decoder, vae.decoder.body, latents, ("params",), model.image_shape)


def _check(
    name: str, body: nn.Module, rows: Tensor, outputs: tuple[str, ...], shape: tuple[int, ...]
) -> None:
    _refuse_layers(name, body)

    def run(batch: Tensor) -> list[Tensor]:
        try:
            answer = body(batch)
        except Exception as error:
            msg = f"{name}: failed on {list(batch.shape)} with {type(error).__name__}: {error}"
            raise ConfigError(msg) from error
        found = list(answer) if isinstance(answer, tuple) else [answer]
        shapes = [list(one.shape) if isinstance(one, Tensor) else repr(one) for one in found]
        if shapes != [[len(batch), *shape]] * len(outputs):
            raise ConfigError(
                f"{name}: must return {' and '.join(outputs)} of shape "
                f"[{', '.join(map(str, ('n', *shape)))}]; with n = {len(batch)} it returned "
                f"{', '.join(map(str, shapes))}"
            )
        return found

    body.train()
    first = run(rows)
    _compare(
        name, first, run(rows), "returns different results for equal rows: it is random or changes"
    )
    alone = [torch.cat(parts) for parts in zip(*map(run, torch.split(rows, 1)), strict=True)]
    _compare(
        name,
        first,
        alone,
        "returns different results for a row among other rows: it depends on the batch",
    )
    body.eval()
    _compare(
        name,
        first,
        run(rows),
        "returns different results in training and evaluation mode",
    )


def _refuse_layers(name: str, body: nn.Module) -> None:
    for where, layer in body.named_modules():
        if isinstance(layer, _BatchNorm):
            msg = f"{name}: {where} is a {type(layer).__name__}, which depends on the batch"
            raise ConfigError(f"{msg}; use GroupNorm or no normalisation")
        if isinstance(layer, _DropoutNd):
            msg = f"{name}: {where} is a {type(layer).__name__}, which is random; leave it out"
            raise ConfigError(msg)


def _compare(name: str, first: list[Tensor], second: list[Tensor], what: str) -> None:
    for one, other in zip(first, second, strict=True):
        if not torch.allclose(one, other, rtol=_RTOL, atol=_ATOL, equal_nan=True):
            raise ConfigError(f"{name}: {what}")
