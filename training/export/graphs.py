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
from model.bundle.golden import NAMES
from model.files import write_arrays
from model.noise import Purpose
from model.pixels import Floats
from model.prior.mixture import Mixture, parse_mixture, write_mixture
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
    encoder: bytes
    decoder: bytes
    golden: bytes
    prior: bytes | None
    """`prior.npz`; None for N(0, I)."""


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
        """What one looks at, pixels [n, c, h, w], of latents [n, *latent_shape]."""
        starts = range(0, len(latents), AT_ONCE)
        parts = [self.decoder.run(latents[s : s + AT_ONCE], ["pixels"])[0] for s in starts]
        return np.concatenate(parts)


def export(folder: Path, overrides: Sequence[str] = ()) -> None:
    """Writes `encoder.onnx`, `decoder.onnx`, `golden.npz`, for a learned prior `prior.npz`, and
    `export.json` into the workdir.

    Raises:
        ConfigError: the file of a network of one's own is gone or has changed.
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
    encoder = to_onnx(vae.encoder, images[:2], "image", ("mean", "logvar"))
    decoder = to_onnx(vae.decoder, latents[:2], "latent", ("pixels", "params"))
    graphs = Graphs(Graph(encoder), Graph(decoder))
    report = {
        "encoder": check_parity(vae.encoder, graphs.encoder, images),
        "decoder": check_parity(vae.decoder, graphs.decoder, latents),
    }
    golden = golden_batch(graphs, images[:_GOLDEN_ROWS], latents[:_GOLDEN_ROWS])
    files = {workdir.encoder: encoder, workdir.decoder: decoder, workdir.golden: golden}
    if mixture := vae.mixture():
        files[workdir.prior] = write_mixture(mixture)
    for path, content in files.items():
        write_bytes(path, content)
    about = {
        "opset": OPSET,
        "weights": {"kind": weights.kind, "step": weights.step},
        "scale": calibrated_scale(
            vae, data.train.images, seed=config.seed, device=torch.device("cpu")
        ),
        "sha256": {path.name: _sha256(content) for path, content in files.items()},
        "parity": report,
    }
    write_json(workdir.export, about)


def read_export(workdir: Workdir) -> Exported:
    """What `export` wrote, checked against the hashes that it noted.

    Raises:
        StageError: `export` has not run, or a file is not what it wrote.
    """
    for path in (workdir.encoder, workdir.decoder, workdir.golden):
        workdir.require(path, "export")
    about = workdir.read_json(workdir.export, "export", scale=object)
    again = "run `vaetrain export` on this workdir again"
    known = about.get("sha256")
    if not isinstance(known, dict):
        msg = (
            f"{workdir.export}: holds no SHA-256 of the graphs, as older versions left it; {again}"
        )
        raise StageError(msg)

    def read(path: Path) -> bytes:
        content = workdir.require(path, "export").read_bytes()
        if _sha256(content) != known.get(path.name):
            msg = f"{path}: is not what export wrote; {again}"
            raise StageError(msg)
        return content

    return Exported(
        about,
        encoder=read(workdir.encoder),
        decoder=read(workdir.decoder),
        golden=read(workdir.golden),
        prior=read(workdir.prior) if workdir.prior.name in known else None,
    )


def load_graphs(exported: Exported, *, threads: int = 1) -> Graphs:
    """The exported graphs, on the CPU, and the prior."""
    return Graphs(
        Graph(exported.encoder, threads=threads),
        Graph(exported.decoder, threads=threads),
        parse_mixture(exported.prior) if exported.prior else None,
    )


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
    varying = {0: torch.export.Dim("batch")} if axes is None else dict(axes)
    with _quiet_exporter():
        program = torch.onnx.export(
            module.eval(),
            (torch.from_numpy(example),),
            input_names=[name],
            output_names=list(outputs),
            dynamic_shapes=(varying,),
            opset_version=OPSET,
            dynamo=True,
            external_data=False,
            verbose=False,
        )
    if program is None:
        msg = "torch exported no graph"
        raise ParityError(msg)
    model = program.model_proto
    # The exporter notes the stack trace of every node, with the paths of this machine.
    for described in (model, model.graph, *model.graph.node, *model.graph.value_info):
        described.ClearField("metadata_props")
    serialised: bytes = model.SerializeToString(deterministic=True)
    return serialised


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


def golden_batch(graphs: Graphs, images: Floats, latents: Floats) -> bytes:
    """`golden.npz`: both graphs' answers to images [n, c, h, w] and to as many latents."""
    mean, logvar = graphs.encoder.run(images)
    shown, params = graphs.decoder.run(latents)
    answers = (images, mean, logvar, latents, shown, params)
    return write_arrays(dict(zip(NAMES, answers, strict=True)))
