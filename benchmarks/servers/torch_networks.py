"""The same weights run by torch, for a server without exported graphs."""

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
        bundle: the bundle's folder, whose manifest describes the network.
        threads: inside one operation; None for torch's default.

    Raises:
        ValueError: the manifest describes no network, or the graphs lack its weights.
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
    """Rebuilds the VAE that a bundle was exported from; exports keep the names of weights.

    Raises:
        ValueError: the manifest describes no network, or the graphs lack its weights.
    """
    bundle = open_bundle(folder)
    vae = VAE(_config(bundle.manifest)).eval()
    for network, file in ((vae.encoder, ENCODER), (vae.decoder, DECODER)):
        found = graph_weights(bundle, file)
        wanted = network.state_dict()
        if missing := wanted.keys() - found.keys():
            raise ValueError(f"{folder / file}: has no weights named {', '.join(sorted(missing))}")
        network.load_state_dict({name: found[name] for name in wanted})
    return vae


def _config(manifest: Manifest) -> ModelConfig:
    if not manifest.network:
        raise ValueError(f"{manifest.name}: the manifest describes no network to rebuild in torch")
    shape = manifest.latent.shape
    binary = manifest.likelihood is not None and manifest.likelihood.family == "bernoulli"
    return ModelConfig(
        channels=manifest.input.channels,
        height=manifest.input.height,
        width=manifest.input.width,
        latent_dim=math.prod(shape),
        latent_map=(shape[0], shape[1], shape[2]) if len(shape) == 3 else None,
        network=_NETWORK.validate_python(manifest.network),
        # It only decides whether pixels are a sigmoid.
        likelihood=BernoulliConfig() if binary else GaussianConfig(scale=1.0),
    )
