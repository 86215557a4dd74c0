"""Exports a trained VAE to two ONNX graphs, and proves that they compute the same.

The golden batch, which serving reproduces before it serves, comes from onnxruntime on the CPU.
"""

from __future__ import annotations

import hashlib
import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from model import noise, pixels
from model.bundle.bundle import DECODER, ENCODER, GOLDEN, Bundle, BundleError, open_bundle
from model.bundle.golden import NAMES
from model.bundle.layout import Axes
from model.bundle.manifest import GraphSpec, TensorSpec
from model.files import write_arrays
from model.noise import Purpose
from model.pixels import Floats
from model.prior.mixture import PRIOR, Mixture, parse_mixture, write_mixture
from model.runtime import Graph
from training.config.run import TrainingConfig
from training.data.dataset import Data, reload_data
from training.errors import ParityError, StageError
from training.export.parity import PARITY_BATCHES, check_parity
from training.fit.calibration import calibrated_scale
from training.fit.checkpoint import read_weights
from training.fit.custom_networks import build_vae
from training.workdir import Workdir, write_bytes, write_json

OPSET = 20
AT_ONCE = 250
"""Images, or latents, that go through a graph at once."""

_GOLDEN_ROWS = 8
_GOLDEN_SEED = 0


@dataclass(frozen=True)
class Exported:
    """The files of this stage, as they were written."""

    about: Mapping[str, Any]
    """`export.json`."""
    files: Mapping[str, bytes]
    """The graphs, the golden batch and, unless it is N(0, I), the prior, by their names in a
    bundle."""


@dataclass(frozen=True)
class Graphs:
    """Both graphs of a run, and the prior of its latents."""

    encoder: Graph
    decoder: Graph
    mixture: Mixture | None = None
    """None for N(0, I)."""

    def encode(self, targets: Floats) -> tuple[Floats, Floats]:
        """Posterior means and log-variances [n, *latent_shape] of targets [n, c, h, w]."""
        starts = range(0, len(targets), AT_ONCE)
        parts = [self.encoder.run(targets[start : start + AT_ONCE]) for start in starts]
        mean, logvar = (np.concatenate(part) for part in zip(*parts, strict=True))
        return mean, logvar

    def decode(self, latents: Floats) -> Floats:
        """Latents [n, *latent_shape] → pixels [n, c, h, w], to look at."""
        starts = range(0, len(latents), AT_ONCE)
        parts = [self.decoder.run(latents[s : s + AT_ONCE], ["pixels"])[0] for s in starts]
        return np.concatenate(parts)


def export(folder: Path, overrides: Sequence[str] = ()) -> None:
    """Writes `encoder.onnx`, `decoder.onnx`, `golden.npz`, for a learned prior `prior.npz`, and
    `export.json` into the workdir.

    Raises:
        ConfigError: the file of a custom network is missing or has changed.
        ParityError: torch and onnxruntime disagree; nothing is written.
        StageError: `fit` has not finished.
    """
    workdir = Workdir(folder)
    config = workdir.read_config(overrides)
    weights = read_weights(workdir)
    vae = build_vae(config.model)
    vae.load_state_dict(dict(weights.tensors))
    data = reload_data(workdir, config)
    images = _example_images(data, config, max(PARITY_BATCHES))
    shape = config.model.latent_shape
    latents = noise.standard_normal(_GOLDEN_SEED, Purpose.PRIOR, 0, max(PARITY_BATCHES), shape)
    files, parity = export_networks(vae.encoder, vae.decoder, images, latents)
    if mixture := vae.mixture():
        files[PRIOR] = write_mixture(mixture)
    for name, content in files.items():
        write_bytes(folder / name, content)
    about = {
        "opset": OPSET,
        "weights": {"kind": weights.kind, "step": weights.step},
        "scale": calibrated_scale(
            vae, data.train.images, seed=config.seed, device=torch.device("cpu")
        ),
        "sha256": {name: _sha256(content) for name, content in files.items()},
        "parity": parity,
    }
    write_json(workdir.export, about)


def read_export(workdir: Workdir) -> Exported:
    """The files of `export`, checked against its hashes.

    Raises:
        StageError: `export` has not run, or a file has changed since.
    """
    about = workdir.read_json(workdir.export, "export", scale=object)
    again = "run `vaetrain export` on this workdir again"
    known = about.get("sha256")
    if not isinstance(known, dict):
        msg = f"{workdir.export}: an older version wrote it without SHA-256 of the graphs; {again}"
        raise StageError(msg)
    files = {}
    for name in (ENCODER, DECODER, GOLDEN, *({PRIOR} & known.keys())):
        path = workdir.require(workdir.folder / name, "export")
        files[name] = path.read_bytes()
        if _sha256(files[name]) != known.get(name):
            raise StageError(f"{path}: changed since export wrote it; {again}")
    return Exported(about, files)


def load_graphs(exported: Exported) -> Graphs:
    """The exported graphs, on the CPU, and the prior."""
    files = exported.files
    mixture = parse_mixture(files[PRIOR]) if PRIOR in files else None
    return Graphs(Graph(files[ENCODER]), Graph(files[DECODER]), mixture)


def open_graphs(folder: Path) -> tuple[Bundle, Graphs]:
    """A bundle with its graphs, on the CPU, and its prior.

    Raises:
        StageError: the bundle can't be read, or its images have other values than [0, 1].
    """
    try:
        bundle = open_bundle(folder)
        graphs = Graphs(Graph(bundle.read(ENCODER)), Graph(bundle.read(DECODER)), bundle.mixture)
    except BundleError as error:
        raise StageError(str(error)) from error
    if bundle.manifest.input.value_range != (0.0, 1.0):
        raise StageError(f"{folder}: its images must have values in [0, 1] to be measured")
    return bundle, graphs


def export_networks(
    encoder: nn.Module,
    decoder: nn.Module,
    images: Floats,
    latents: Floats,
    axes: tuple[Mapping[int, object] | None, Mapping[int, object] | None] = (None, None),
) -> tuple[dict[str, bytes], dict[str, object]]:
    """The graphs of two networks and their golden batch as files by name, and their parity.

    Args:
        encoder: image → mean, logvar.
        decoder: latent → pixels, params.
        images: two or more; the first ones are those of the golden batch.
        latents: as many.
        axes: as for `to_onnx`, of images and of latents.

    Raises:
        ParityError: torch and onnxruntime disagree.
    """
    files = {
        ENCODER: to_onnx(encoder, images[:2], "image", ("mean", "logvar"), axes[0]),
        DECODER: to_onnx(decoder, latents[:2], "latent", ("pixels", "params"), axes[1]),
    }
    graphs = [Graph(content) for content in files.values()]
    parity: dict[str, object] = {
        "encoder": check_parity(encoder, graphs[0], images),
        "decoder": check_parity(decoder, graphs[1], latents),
    }
    rows = (images[:_GOLDEN_ROWS], latents[:_GOLDEN_ROWS])
    (mean, logvar), (shown, params) = (
        graph.run(golden) for graph, golden in zip(graphs, rows, strict=True)
    )
    answers = (rows[0], mean, logvar, rows[1], shown, params)
    files[GOLDEN] = write_arrays(dict(zip(NAMES, answers, strict=True)))
    return files, parity


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _example_images(data: Data, config: TrainingConfig, count: int) -> Floats:
    """Real images [count, c, h, w] as the encoder sees them: of the test split, if there is one,
    repeated where there are too few."""
    split = data.test if len(data.test) else data.train
    rows = np.arange(count) % len(split)
    images = np.ascontiguousarray(split.images[rows])
    if config.binarise != "none":
        images = pixels.binarise(images, config.binarise, seed=_GOLDEN_SEED)
    return pixels.to_float(images)


def to_onnx(
    module: nn.Module,
    example: Floats,
    name: str,
    outputs: tuple[str, ...],
    axes: Mapping[int, object] | None = None,
) -> bytes:
    """The serialised graph of `module`.

    Args:
        module: takes one tensor.
        example: such a tensor, its first axis at least 2 long.
        name: of the input.
        outputs: their names.
        axes: the lengths that vary, by axis; the first alone, called `batch`, unless given.

    Raises:
        ParityError: torch exported nothing.
    """
    with _quiet_exporter():
        program = torch.onnx.export(
            module.eval(),
            (torch.from_numpy(example),),
            input_names=[name],
            output_names=list(outputs),
            dynamic_shapes=(dict(axes or {0: torch.export.Dim("batch")}),),
            opset_version=OPSET,
            dynamo=True,
            external_data=False,
            verbose=False,
        )
    if program is None:
        raise ParityError("torch exported no graph")
    model = program.model_proto
    # The exporter notes the stack trace of every node, with the paths of this machine.
    for described in (model, model.graph, *model.graph.node, *model.graph.value_info):
        described.ClearField("metadata_props")
    return bytes(model.SerializeToString(deterministic=True))


@contextmanager
def _quiet_exporter() -> Iterator[None]:
    """Silences what torch's exporter says about itself: operators of a library that is not
    needed here, and a deprecation inside its own code."""
    logger = logging.getLogger("torch.onnx._internal.exporter._registration")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", r".*LeafSpec", FutureWarning)
            yield
    finally:
        logger.setLevel(level)


def graph_specs(image: Axes, latent: Axes) -> tuple[GraphSpec, GraphSpec]:
    """How a manifest describes encoder and decoder, whose images and latents have these axes."""
    images = [TensorSpec(name=name, shape=image) for name in ("image", "pixels", "params")]
    latents = [TensorSpec(name=name, shape=latent) for name in ("latent", "mean", "logvar")]
    return (
        GraphSpec(inputs=tuple(images[:1]), outputs=tuple(latents[1:])),
        GraphSpec(inputs=tuple(latents[:1]), outputs=tuple(images[1:])),
    )
