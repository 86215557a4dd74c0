"""Posterior means of held-out images, which the bundle stores for maps of the latent space."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from rich.console import Console

from model import pixels
from model.bundle.manifest import PosteriorSpec
from model.bundle.posterior import NO_LABEL, storable, write_posterior
from training.config.run import TrainingConfig
from training.data.dataset import Data, held_out, reload_data, spread_rows
from training.errors import StageError
from training.export.graphs import AT_ONCE, Graphs, load_graphs, read_export
from training.workdir import Workdir, write_bytes, write_json


def latents(folder: Path, overrides: Sequence[str] = (), console: Console | None = None) -> None:
    """Writes `latents.npz`, and `latents.json`, which describes it.

    Raises:
        DataError: no image is held out, or they changed since training.
        StageError: `export` has not run, a file that it wrote is damaged, or a mean is not finite.
    """
    workdir = Workdir(folder)
    config = workdir.read_config(overrides)
    graphs = load_graphs(read_export(workdir))
    spec, content = encode_held_out(graphs, reload_data(workdir, config), config)
    write_bytes(workdir.latents, content)
    write_json(workdir.latents_about, spec.model_dump(mode="json"))
    shown = console or Console(stderr=True)
    shown.print(f"posterior means of {spec.n} {spec.split} images", highlight=False)


def encode_held_out(
    graphs: Graphs, data: Data, config: TrainingConfig
) -> tuple[PosteriorSpec, bytes]:
    """The posterior means of up to 5,000 held-out images, evenly chosen, and their labels: what
    they are, and the content of `posterior.npz`.

    Grey images are encoded as they are, as `/encode` does: an image that is encoded there then
    lies among its like.

    Raises:
        DataError: no image is held out.
        StageError: a mean is not finite.
    """
    name, split, fingerprint = held_out(data, config)
    rows = spread_rows(len(split), storable(len(split), math.prod(config.model.latent_shape)))
    images = np.asarray(split.images[rows])
    means = np.concatenate(
        [
            graphs.encoder.run(pixels.to_float(images[start : start + AT_ONCE]), ["mean"])[0]
            for start in range(0, len(images), AT_ONCE)
        ]
    )
    if not np.isfinite(means).all():
        raise StageError("the posterior mean of an image is not finite")
    labels = np.full(len(rows), NO_LABEL) if split.labels is None else split.labels[rows]
    spec = PosteriorSpec(split=name, fingerprint=fingerprint, n=len(rows), classes=data.classes)
    return spec, write_posterior(means, labels)
