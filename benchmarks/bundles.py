"""The two models to measure: `python -m benchmarks.bundles` exports them.

Their weights are random, drawn from a fixed seed, because speed does not depend on what a network
has learned. They are exported and checked as trained bundles are.

- `heavy`: convolutional, about a million parameters and 39 MFLOP an image in either direction. The
  network is most of a request's cost.
- `small`: fully connected, about 1 MFLOP. Everything else is most of a request's cost.

The last layer of each network is scaled so that images have black, white and grey pixels, most of
them black, as in handwritten digits. Images of a single grey would compress to almost nothing, and
servers could not disagree about them.
"""

from __future__ import annotations

import argparse
import hashlib
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from model import noise
from model.bundle import bundle as files
from model.bundle import manifest as spec
from model.bundle.bundle import Bundle, BundleError, open_bundle
from model.bundle.manifest import Manifest
from model.config import BernoulliConfig, ConvConfig, MlpConfig, ModelConfig
from model.networks.networks import parameter_count
from model.networks.vae import VAE
from model.noise import Purpose
from model.pixels import Floats
from training.bundle.bundle import golden_tolerance
from training.export import graphs as export
from training.export.parity import PARITY_BATCHES
from training.fit.compute import tool_versions
from training.system import git_commit

ROOT = Path(__file__).parent / "bundles"
SEED = 0

_LIKELIHOOD = BernoulliConfig(binarise="sample")
_LOGIT_CENTRE, _LOGIT_DEVIATION = -3.0, 3.0


def models() -> dict[str, ModelConfig]:
    """The models by name: 28×28 grey images, 32 latent dimensions."""
    return {
        "heavy": ModelConfig(
            network=ConvConfig(widths=(32, 72), blocks=2, hidden=64), likelihood=_LIKELIHOOD
        ),
        "small": ModelConfig(network=MlpConfig(hidden=(600,)), likelihood=_LIKELIHOOD),
    }


@dataclass(frozen=True, slots=True)
class Size:
    """Operations for one image, where a multiply-add counts as two."""

    encoder_flops: int
    decoder_flops: int
    parameters: int


def size(config: ModelConfig) -> Size:
    """Counts the operations that torch runs, without activations."""
    vae = VAE(config)
    return Size(
        _flops(vae.encoder, torch.zeros(1, *config.image_shape)),
        _flops(vae.decoder, torch.zeros(1, *config.latent_shape)),
        parameter_count(vae.encoder) + parameter_count(vae.decoder),
    )


def provide(name: str, root: Path = ROOT) -> Bundle:
    """Opens `<root>/<name>/1`; exports it first if it is missing or outdated.

    Raises:
        BundleError: the disk refuses.
        KeyError: the name is unknown.
        ParityError: torch and onnxruntime disagree.
    """
    config = models()[name]
    folder = root / name / "1"
    recipe = _recipe(config)
    try:
        present = open_bundle(folder)
    except BundleError:
        present = None
    if present and present.manifest.data.fingerprint == recipe:
        return present
    shutil.rmtree(folder, ignore_errors=True)
    return _export(name, config, root, recipe)


def synthetic_images(count: int, shape: tuple[int, int, int]) -> Floats:
    """Three soft bright spots on black, float32 [count, c, h, w] in [0, 1]."""
    _, height, width = shape
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    places = noise.uniform(SEED, Purpose.PRIOR, 0, count, (3, 2)) * 0.6 + 0.2
    spots = [
        np.exp(-(((rows - y * height) / 3) ** 2) - ((columns - x * width) / 3) ** 2)
        for y, x in places.reshape(-1, 2)
    ]
    images = np.minimum(np.reshape(spots, (count, 3, height, width)).sum(axis=1) * 1.5, 1)
    grey = np.rint(images * 255) / 255
    return np.repeat(grey[:, np.newaxis], shape[0], axis=1).astype(np.float32)


def _export(name: str, config: ModelConfig, root: Path, recipe: str) -> Bundle:
    images = synthetic_images(max(PARITY_BATCHES), config.image_shape)
    latents = noise.standard_normal(SEED, Purpose.PRIOR, 0, len(images), config.latent_shape)
    vae = _random(config, images, latents)
    contents, _ = export.export_networks(vae.encoder, vae.decoder, images, latents)
    manifest = _manifest(name, config, recipe, contents[files.GOLDEN])
    return files.write_bundle(root, manifest, contents)


def _random(config: ModelConfig, images: Floats, latents: Floats) -> VAE:
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(SEED)
        vae = VAE(config).eval()
        for layer in vae.modules():
            # Residual blocks start at zero, and a graph optimiser might leave them out.
            if isinstance(layer, nn.Conv2d) and not layer.weight.any():
                layer.reset_parameters()
        encode, decode = torch.from_numpy(images), torch.from_numpy(latents)
        encoding, decoding = (list(one.body.children()) for one in (vae.encoder, vae.decoder))
        _calibrate(encoding[-1], lambda: vae.encoder.body(encode), 0.0, 1.0)
        # After the decoder's last layer only the shape changes.
        _calibrate(decoding[-2], lambda: vae.decoder.body(decode), _LOGIT_CENTRE, _LOGIT_DEVIATION)
    return vae


def _calibrate(
    layer: nn.Module, run: Callable[[], Tensor], centre: float, deviation: float
) -> None:
    """Scales a last layer so that its outputs have this mean, and standard deviation over rows."""
    weight, bias = (layer.get_parameter(name) for name in ("weight", "bias"))
    outputs = run()
    factor = deviation / (outputs - outputs.mean(dim=0)).std()
    weight.mul_(factor)
    bias.mul_(factor).add_(centre - factor * outputs.mean())


def _manifest(name: str, config: ModelConfig, recipe: str, golden: bytes) -> Manifest:
    encoder, decoder = export.graph_specs(config.image_shape, config.latent_shape)
    channels, height, width = config.image_shape
    return Manifest(
        name=name,
        version=1,
        created=datetime.now(UTC),
        git_commit=git_commit("model", "training", "benchmarks"),
        tools=tool_versions(),
        opset=export.OPSET,
        input=spec.InputSpec(
            channels=config.channels,
            height=height,
            width=width,
            order="L" if channels == 1 else "RGB",
        ),
        latent=spec.LatentSpec(shape=config.latent_shape),
        encoder=encoder,
        decoder=decoder,
        likelihood=spec.LikelihoodSpec(
            family="bernoulli", dimensions=config.dimensions, binarise=_LIKELIHOOD.binarise
        ),
        objective={"name": "none", "seed": SEED},
        network=config.network.model_dump(mode="json"),
        weights=spec.WeightsSpec(kind="raw", step=0),
        data=spec.DataSpec(id="none", fingerprint=recipe, split="none"),
        metrics={},
        golden=spec.GoldenSpec(tolerance=golden_tolerance(golden)),
        licence="Apache-2.0",
        card="Random weights, for measuring speed.",
    )


def _recipe(config: ModelConfig) -> str:
    """A hash of everything that determines the graphs."""
    logits = (_LOGIT_CENTRE, _LOGIT_DEVIATION)
    facts = (config.model_dump_json(), tool_versions()["torch"], export.OPSET, SEED, *logits)
    return hashlib.sha256(repr(facts).encode()).hexdigest()


def _flops(module: nn.Module, row: Tensor) -> int:
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        module(row)
    return int(counter.get_total_flops())


def main(arguments: Sequence[str] | None = None) -> int:
    """Exports the models, and prints their sizes."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bundles", description=__doc__)
    parser.add_argument("--into", type=Path, default=ROOT, help="folder of the bundles")
    parser.add_argument(
        "--model", action="append", choices=models(), help="the model to export (both)"
    )
    options = parser.parse_args(arguments)
    for name in options.model or models():
        config = models()[name]
        bundle, counted = provide(name, options.into), size(config)
        print(
            f"{bundle.folder}: {counted.parameters / 1e6:.2f} M parameters, an image takes "
            f"{counted.encoder_flops / 1e6:.1f} MFLOP to encode and "
            f"{counted.decoder_flops / 1e6:.1f} to decode"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
