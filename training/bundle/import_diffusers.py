"""Imports a foreign model: graphs of any height and width, checked against torch, as a bundle."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

import numpy as np
import torch

from model import noise
from model.bundle.bundle import DECODER, ENCODER, GOLDEN, Bundle, BundleError, write_bundle
from model.bundle.manifest import (
    VARIES,
    DataSpec,
    GoldenSpec,
    InputSpec,
    LatentSpec,
    Manifest,
    SizesSpec,
    WeightsSpec,
)
from model.noise import Purpose
from model.pixels import Floats
from model.runtime import Graph
from training.bundle.autoencoder_kl import Foreign, read_model
from training.bundle.bundle import golden_tolerance
from training.errors import ForeignModelError
from training.export.graphs import OPSET, export_networks, graph_specs
from training.export.parity import check_parity
from training.fit.compute import tool_versions
from training.system import git_commit

RANGE = (-1.0, 1.0)
"""Of pixels, as diffusers' models are trained."""

_BATCH = torch.export.Dim("batch", max=63)
"""diffusers' upsampling asks whether a batch has 64 rows, to work around a defect of old CUDA
kernels. The graphs have no such node and take any number."""

_GOLDEN = (2, 4, 3)
_PARITY = ((1, 1, 1), (3, 5, 8))
"""Rows, and a latent's height and width."""

_SEED = 0


@dataclass(frozen=True, kw_only=True)
class Target:
    """The bundle's name, repository and accepted sizes."""

    root: Path
    name: str
    version: int
    licence: str
    card: str
    max_size: int
    height: int | None = None
    width: int | None = None


def import_diffusers(
    source: str, target: Target, *, subfolder: str | None = None, revision: str | None = None
) -> Bundle:
    """Writes `<root>/<name>/<version>/` from a saved `AutoencoderKL`.

    Args:
        source: a folder as diffusers saves it, or a name on the hub.
        target: the bundle.
        subfolder: where the model lies in a whole pipeline.
        revision: of the hub's repository.

    Raises:
        ForeignModelError: the source can't be read or is not supported, or the bundle can't be
            written under that name, version or sizes.
        ParityError: torch and onnxruntime disagree; nothing is written.
    """
    folder = target.root / target.name / str(target.version)
    if folder.exists():
        # `write_bundle` would say so too, after minutes of exporting.
        msg = f"{folder}: exists already, but bundles are immutable; choose another version"
        raise ForeignModelError(msg)
    model = read_model(source, subfolder=subfolder, revision=revision)
    spec = _input(model, target)
    axes = (_axes(model.factor), _axes(1))
    files, _ = export_networks(
        model.encoder, model.decoder, _images(model, _GOLDEN), _latents(model, _GOLDEN), axes
    )
    encoder, decoder = Graph(files[ENCODER]), Graph(files[DECODER])
    for shape in _PARITY:
        check_parity(model.encoder, encoder, _images(model, shape), shape[:1])
        check_parity(model.decoder, decoder, _latents(model, shape), shape[:1])
    try:
        return write_bundle(target.root, _manifest(model, source, target, spec, files), files)
    except (BundleError, ValueError) as error:
        raise ForeignModelError(str(error)) from error


def _axes(factor: int) -> dict[int, object]:
    rows, columns = torch.export.Dim("rows"), torch.export.Dim("columns")
    if factor == 1:
        return {0: _BATCH, 2: rows, 3: columns}
    return {0: _BATCH, 2: factor * rows, 3: factor * columns}


def _images(model: Foreign, shape: tuple[int, int, int]) -> Floats:
    """Noise in −1 … 1, for latents of that shape."""
    n, height, width = shape
    size = (model.channels, height * model.factor, width * model.factor)
    uniform = noise.uniform(_SEED, Purpose.BINARISE, 0, n, size)
    return (2 * uniform - 1).astype(np.float32)


def _latents(model: Foreign, shape: tuple[int, int, int]) -> Floats:
    """Latents as the decoder's graph takes them: of unit variance once they are scaled."""
    n, height, width = shape
    size = (model.latent_channels, height, width)
    normal = noise.standard_normal(_SEED, Purpose.PRIOR, 0, n, size)
    return normal / np.float32(model.scaling) + np.float32(model.shift)


def _input(model: Foreign, target: Target) -> InputSpec:
    factor, most = model.factor, target.max_size
    # What the model was made for, as far as it is taken.
    height, width = (min(size - size % factor, most) for size in model.sample_size)
    try:
        return InputSpec(
            channels=1 if model.channels == 1 else 3,
            height=target.height or height,
            width=target.width or width,
            order="L" if model.channels == 1 else "RGB",
            value_range=RANGE,
            sizes=SizesSpec(min=factor, max=most, multiple=factor),
        )
    except ValueError as error:
        msg = f"sizes of this model are multiples of {factor}: {error}"
        raise ForeignModelError(msg) from error


def _manifest(
    model: Foreign, source: str, target: Target, spec: InputSpec, files: Mapping[str, bytes]
) -> Manifest:
    encoder, decoder = graph_specs(spec.axes, (model.latent_channels, VARIES, VARIES))
    # A folder's path says nothing to others.
    origin = Path(source).name if Path(source).exists() else source
    return Manifest(
        name=target.name,
        version=target.version,
        created=datetime.now(UTC),
        git_commit=git_commit("model", "training"),
        tools=tool_versions() | {"diffusers": metadata.version("diffusers")},
        opset=OPSET,
        input=spec,
        latent=LatentSpec(
            shape=(
                model.latent_channels,
                spec.height // model.factor,
                spec.width // model.factor,
            ),
            factor=model.factor,
            scaling=model.scaling,
            shift=model.shift,
        ),
        encoder=encoder,
        decoder=decoder,
        likelihood=None,
        objective={"name": "imported", "source": origin},
        network={"architecture": "AutoencoderKL", **model.config},
        weights=WeightsSpec(kind="raw", step=0),
        data=DataSpec(id="unknown", fingerprint="unknown", split="unknown"),
        metrics={},
        golden=GoldenSpec(tolerance=golden_tolerance(files[GOLDEN])),
        licence=target.licence,
        card=target.card or f"{origin}, an AutoencoderKL of diffusers, imported.",
    )
