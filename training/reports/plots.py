"""Draws a run: from the files of its workdir and the exported graphs, never from a live model."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure
from numpy.typing import NDArray

from model import pixels
from model.pixels import Floats, Images
from model.prior.mixture import draw_latents
from training.config.run import TrainingConfig
from training.data.dataset import reload_data
from training.data.memmap import ImageRows
from training.evaluation.evaluate import to_test_targets
from training.export.graphs import Graphs, load_graphs, read_export
from training.reports.curves import INK, LOSS, Log, draw_panel
from training.reports.image_grid import BACKGROUND, enlarge, tile, write_image
from training.workdir import Workdir, write_atomic

_COLUMNS = 16
_ROWS = 8
_TRAVERSED = 10
_TRAVERSAL = np.linspace(-3, 3, 13, dtype=np.float32)
_SEED = 0
_MOST_POINTS = 5000


def figures(folder: Path, overrides: Sequence[str] = ()) -> None:
    """Writes loss, reconstructions, samples, latent and traversals as PNG into `figures`.

    Raises:
        DataError: the images have changed since training.
        StageError: a stage before has not run, or a file that it wrote is damaged.
    """
    workdir = Workdir(folder)
    config = workdir.read_config(overrides)
    graphs = load_graphs(read_export(workdir))
    measured = workdir.read_json(workdir.metrics, "evaluate")
    kl, split = measured["kl_per_dimension"], measured.get("split", "test")
    mean, labels = _read_posterior(workdir)
    # A mixture has no KL of single dimensions; what varies with the image tells it too.
    told = kl or mean.var(axis=0).ravel().tolist()
    data = reload_data(workdir, config)
    targets = _example_targets(data.test.images, config)
    plots = {
        "loss": draw_loss(_read_log(workdir)),
        "latent": draw_latent(mean, labels, data.classes, split),
    }
    grids = {
        "samples": draw_samples(graphs, config.model.latent_shape),
        "reconstructions": draw_reconstructions(graphs, targets),
        "traversals": draw_traversals(graphs, mean[0], told),
    }
    for name, figure in plots.items():
        write_atomic(workdir.figures / f"{name}.png", figure.savefig)
    for name, image in grids.items():
        write_image(workdir.figures / f"{name}.png", enlarge(image))


def draw_samples(graphs: Graphs, latent_shape: tuple[int, ...]) -> Images:
    """Decoded draws from the prior, as one uint8 image [h, w, c]."""
    latents = draw_latents(graphs.mixture, _SEED, _ROWS * _COLUMNS, latent_shape)
    return tile(_decode(graphs, latents), _COLUMNS)


def draw_reconstructions(graphs: Graphs, targets: Floats) -> Images:
    """Rows of inputs [n, c, h, w], each above the row of its reconstructions from the mean."""
    shown = _decode(graphs, graphs.encoder.run(targets)[0])
    columns = min(_COLUMNS, len(targets))
    # Whole rows, or the last reconstructions would stand beside their inputs.
    missing = -len(targets) % columns
    inputs, shown = (
        np.pad(part, ((0, missing), (0, 0), (0, 0), (0, 0)), constant_values=BACKGROUND)
        for part in (pixels.to_uint8(targets), shown)
    )
    rows = [
        part[start : start + columns]
        for start in range(0, len(inputs), columns)
        for part in (inputs, shown)
    ]
    return tile(np.concatenate(rows), columns)


def draw_traversals(graphs: Graphs, start: Floats, told: Sequence[float]) -> Images:
    """One row for each of the most informative dimensions, by `told` [d], which runs from −3 to 3
    while the others keep the values of `start` [*latent_shape]; those of a map count in its
    order."""
    chosen = np.argsort(told)[::-1][:_TRAVERSED]
    latents = np.tile(start.ravel(), (len(chosen), len(_TRAVERSAL), 1))
    for row, dimension in enumerate(chosen):
        latents[row, :, dimension] = _TRAVERSAL
    return tile(_decode(graphs, latents.reshape(-1, *start.shape)), len(_TRAVERSAL))


def draw_latent(
    mean: Floats, labels: NDArray[np.int64], classes: Sequence[str], split: str = "test"
) -> Figure:
    """Posterior means [n, *latent_shape] of a split's images in two dimensions, by class:
    themselves, or their first two principal components where a latent has not 2 values."""
    mean, labels = mean[:_MOST_POINTS], labels[:_MOST_POINTS]
    points, axis_names = _project(mean.reshape(len(mean), -1))
    figure = Figure(figsize=(8, 7), dpi=120, layout="constrained")
    axes = figure.subplots()
    if len(labels) and 1 < len(classes) <= 20:
        colours = colormaps["tab10" if len(classes) <= 10 else "tab20"]
        for number, name in enumerate(classes):
            x, y = points[labels == number].T
            axes.scatter(x, y, s=6, alpha=0.6, color=colours(number), label=name, linewidths=0)
        legend = axes.legend(
            markerscale=3, loc="center left", bbox_to_anchor=(1, 0.5), frameon=False
        )
        for text in legend.get_texts():
            text.set_parse_math(False)  # a class may be called "$x^$", which is no formula
    else:
        axes.scatter(points[:, 0], points[:, 1], s=6, alpha=0.6, color=INK, linewidths=0)
    title = f"Posterior means of {split} images"
    axes.set(xlabel=axis_names[0], ylabel=axis_names[1], title=title)
    axes.set_aspect("equal", adjustable="datalim")
    return figure


def draw_loss(log: Log) -> Figure:
    """The bound and its two parts by epoch."""
    figure = Figure(figsize=(12, 4), dpi=120, layout="constrained")
    for axes, panel in zip(figure.subplots(1, 3), LOSS, strict=True):
        draw_panel(axes, panel, {"training": log})
    return figure


def _project(mean: Floats) -> tuple[NDArray[np.floating], tuple[str, str]]:
    if mean.shape[1] == 2:
        return mean, ("z₁", "z₂")
    centred = mean - mean.mean(axis=0)
    if mean.shape[1] == 1:
        return np.column_stack([mean[:, 0], np.zeros(len(mean))]), ("z", "")
    # One point has one direction, and none of them a length.
    centred = np.pad(centred, ((0, max(0, 2 - len(centred))), (0, 0)))
    _, values, directions = np.linalg.svd(centred, full_matrices=False)
    share = np.square(values) / max(float(np.square(values).sum()), 1e-12)
    first, second = (f"principal component {i + 1} ({share[i]:.0%})" for i in range(2))
    return (centred @ directions[:2].T)[: len(mean)], (first, second)


def _decode(graphs: Graphs, latents: Floats) -> Images:
    return pixels.to_uint8(graphs.decode(latents))


def _example_targets(images: ImageRows, config: TrainingConfig) -> Floats:
    count = min(len(images), _ROWS // 2 * _COLUMNS)
    rows = np.linspace(0, len(images), count, endpoint=False).astype(np.int64)
    return to_test_targets(images[rows], config)[0]


def _read_posterior(workdir: Workdir) -> tuple[Floats, NDArray[np.int64]]:
    with (
        workdir.reading(workdir.posterior, "evaluate") as path,
        path.open("rb") as file,  # NumPy leaves a file open that it can't read
        np.load(file) as arrays,
    ):
        return arrays["mean"], arrays["label"]


def _read_log(workdir: Workdir) -> Log:
    with workdir.reading(workdir.log, "fit") as path:
        lines = path.read_text("utf-8").splitlines()
        if not lines:
            raise ValueError("contains no epoch")
        return [json.loads(line) for line in lines]
