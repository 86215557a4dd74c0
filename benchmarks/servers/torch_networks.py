"""The same weights run by torch: what one serves who does not export."""

from __future__ import annotations

import math
from pathlib import Path

import torch
from pydantic import TypeAdapter

from benchmarks.servers.baseline import Floats
from model.bundle.bundle import DECODER, ENCODER, open_bundle
from model.bundle.manifest import Manifest
from model.config import BernoulliConfig, GaussianConfig, ModelConfig, NetworkConfig
from model.networks.vae import VAE
from training.fit.warm_start import graph_weights

_NETWORK: TypeAdapter[NetworkConfig] = TypeAdapter(NetworkConfig)


class TorchNetworks:
    """A bundle's networks, with the weights of its graphs.

    Args:
        bundle: the bundle's folder; its manifest has to describe the network.
        threads: inside one operation; None leaves torch its default.

    Raises:
        ValueError: the manifest describes no network, or the graphs' weights are not its.
    """

    def __init__(self, bundle: Path, threads: int | None) -> None:
        if threads is not None:
            torch.set_num_threads(threads)
        self._vae = vae_of(bundle)

    def encode(self, images: Floats) -> tuple[Floats, Floats]:
        with torch.inference_mode():
            mean, logvar = self._vae.encoder(torch.from_numpy(images))
        return mean.numpy(), logvar.numpy()

    def decode(self, latents: Floats) -> Floats:
        with torch.inference_mode():
            pixels: Floats = self._vae.decoder(torch.from_numpy(latents))[0].numpy()
        return pixels


def vae_of(folder: Path) -> VAE:
    """The VAE that a bundle was exported from; export keeps the names of the weights.

    Raises:
        ValueError: the manifest describes no network, or the graphs' weights are not its.
    """
    bundle = open_bundle(folder)
    vae = VAE(_config(bundle.manifest)).eval()
    for network, file in ((vae.encoder, ENCODER), (vae.decoder, DECODER)):
        found = graph_weights(bundle.read(file))
        wanted = network.state_dict()
        if missing := wanted.keys() - found.keys():
            msg = f"{folder / file}: has no weights named {', '.join(sorted(missing))}"
            raise ValueError(msg)
        network.load_state_dict({name: found[name] for name in wanted})
    return vae


def _config(manifest: Manifest) -> ModelConfig:
    if not manifest.network:
        msg = f"{manifest.name}: the manifest describes no network to rebuild in torch"
        raise ValueError(msg)
    shape = manifest.latent.shape
    binary = manifest.likelihood is not None and manifest.likelihood.family == "bernoulli"
    return ModelConfig(
        channels=manifest.input.channels,
        height=manifest.input.height,
        width=manifest.input.width,
        latent_dim=math.prod(shape),
        latent_map=(shape[0], shape[1], shape[2]) if len(shape) == 3 else None,
        network=_NETWORK.validate_python(manifest.network),
        # Only whether pixels are a sigmoid depends on it.
        likelihood=BernoulliConfig() if binary else GaussianConfig(scale=1.0),
    )
