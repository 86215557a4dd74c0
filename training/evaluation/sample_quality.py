"""How much a model's samples are like the digits of MNIST, in the features of a fixed classifier.

10,000 decoder means of draws from the prior are compared with the training images by their
Fréchet distance, and with test images by precision, recall, density and coverage. Two more
distances say what the first is worth: that of real test images, and that of test images
blurred.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from model.bundle.manifest import Metric
from model.config import ModelConfig
from model.pixels import Images, to_uint8
from model.prior.mixture import Mixture, draw_latents
from model.runtime import Graph
from training.config.data import DataConfig
from training.config.overrides import Override
from training.config.presets import override_config
from training.config.run import TrainingConfig
from training.data.dataset import Data, load_data, reload_data
from training.data.memmap import ImageRows
from training.errors import DataError, StageError
from training.evaluation.fidelity import NEAREST, frechet_distance, neighbours
from training.evaluation.metrics import print_metrics
from training.evaluation.mnist_classifier import SHA256, SIZE, features, read_classifier
from training.export.graphs import load_graphs, open_graphs, read_export
from training.workdir import Workdir, write_json

MNIST = "ylecun/mnist"
"""The images' name on the hub."""
DISTANCE = "sample_frechet_distance"
SAMPLES = 10_000
"""Number of images drawn for the distance; fewer images give larger distances."""
NEIGHBOURS = 5000
"""Of how many samples and of how many test images, the first ones, neighbours are found."""

_ROWS = 100
_CLASSIFIER = f"in the features of the classifier with SHA-256 {SHA256}"


def quality(
    folder: Path,
    overrides: Sequence[str] = (),
    console: Console | None = None,
    *,
    samples: int = SAMPLES,
) -> None:
    """Adds the metrics of a run's samples to its `metrics.json`.

    Raises:
        DataError: the images changed since training, or are too few.
        StageError: `export` or `evaluate` has not run, a file that they wrote is damaged, or the
            model's images are not grey and 28×28.
    """
    workdir = Workdir(folder)
    config = workdir.read_config(overrides)
    graphs = load_graphs(read_export(workdir))
    document = workdir.read_json(workdir.metrics, "evaluate", metrics=dict)
    figures = measure_quality(
        graphs.decoder,
        reload_data(workdir, config),
        config,
        mixture=graphs.mixture,
        samples=samples,
    )
    document["metrics"] |= {name: one.model_dump(mode="json") for name, one in figures.items()}
    write_json(workdir.metrics, document)
    print_metrics(figures, console)


def bundle_quality(
    folder: Path,
    source: str,
    overrides: Sequence[str | Override] = (),
    console: Console | None = None,
    *,
    samples: int = SAMPLES,
) -> dict[str, Metric]:
    """The metrics of a bundle's samples; `source` has MNIST's images. The bundle is not changed.

    Raises:
        DataError: as for `load_data`, or too few images.
        StageError: the bundle can't be read, or its images are not grey, 28×28 and in [0, 1].
    """
    _, graphs = open_graphs(folder)
    model = ModelConfig(channels=1, height=SIZE, width=SIZE)
    plain = TrainingConfig(model=model, data=DataConfig(source=source))
    config = override_config(plain, overrides)
    figures = measure_quality(
        graphs.decoder, load_data(config), config, mixture=graphs.mixture, samples=samples
    )
    print_metrics(figures, console)
    return figures


def measure_quality(
    decoder: Graph,
    data: Data,
    config: TrainingConfig,
    *,
    mixture: Mixture | None = None,
    samples: int = SAMPLES,
) -> dict[str, Metric]:
    """The metrics by name.

    Args:
        decoder: latents → `pixels` [n, 1, 28, 28] in [0, 1].
        data: what samples are compared with: all that is not for testing, and the test images.
        config: for `evaluation.quality_seed`, and the name of the training split.
        mixture: the prior, where it is not N(0, I).
        samples: how many are drawn; metrics of other numbers do not compare.

    Raises:
        DataError: too few test images.
        StageError: the decoder's images have another shape, or the classifier is another one.
    """
    shape = {name: axes[1:] for name, _, axes in decoder.outputs}["pixels"]
    if shape != (1, SIZE, SIZE):
        raise StageError(f"the model's images are {shape}; sample metrics need digits, (1, 28, 28)")
    if len(data.test) <= NEAREST:
        msg = f"{len(data.test)} test images are too few: {NEAREST + 1} or more are needed"
        raise DataError(msg)
    classifier = read_classifier()
    seed = config.evaluation.quality_seed
    parts = (data.train.images, data.validation.images)
    train = np.concatenate([features(classifier, images) for images in parts if len(images)])
    test = features(classifier, data.test.images)
    drawn = features(classifier, draw(decoder, samples, seed, mixture))
    compared = {
        DISTANCE: (drawn, "decoder means of z ~ p(z)"),
        "sample_frechet_floor": (test, "real test images"),
        "sample_frechet_blurred": (
            features(classifier, blurred(data.test.images)),
            "test images blurred by a 3×3 box",
        ),
    }
    whole = f"{len(train)} training images ({data.fingerprints[config.data.train_split]})"
    seeds = {"prior": seed}
    found = {
        name: Metric(
            value=frechet_distance(vectors, train),
            n=len(vectors),
            seeds=seeds if name == DISTANCE else {},
            note=f"of {what} to {whole}, {_CLASSIFIER}",
        )
        for name, (vectors, what) in compared.items()
    }
    found["sample_frechet_ratio"] = Metric(
        value=found[DISTANCE].value / found["sample_frechet_blurred"].value,
        n=len(drawn),
        seeds=seeds,
        note=f"{DISTANCE} over sample_frechet_blurred",
    )
    note = f"of samples and the first {len(test[:NEIGHBOURS])} test images, k = {NEAREST}"
    near = neighbours(test[:NEIGHBOURS], drawn[:NEIGHBOURS])
    for name, share in asdict(near).items():
        found[f"sample_{name}"] = Metric(
            value=share, n=len(drawn[:NEIGHBOURS]), seeds=seeds, note=f"{note}; {_CLASSIFIER}"
        )
    return found


def draw(decoder: Graph, count: int, seed: int, mixture: Mixture | None = None) -> Images:
    """Decoder means uint8 [count, h, w, c] of z ~ p(z), a mixture or N(0, I), as `/sample` draws
    them."""
    latent = tuple(int(axis) for axis in decoder.inputs[0][2][1:] if axis is not None)
    parts = []
    for start in range(0, count, _ROWS):
        rows = min(_ROWS, count - start)
        latents = draw_latents(mixture, seed, rows, latent, first=start)
        parts.append(to_uint8(decoder.run(latents, ["pixels"])[0]))
    return np.concatenate(parts)


def blurred(images: ImageRows) -> Images:
    """Each pixel the mean of the 3×3 around it, black lying beyond the edge, rounded to nearest."""
    height, width = images.shape[1:3]
    wide = np.pad(np.asarray(images, np.uint16), ((0, 0), (1, 1), (1, 1), (0, 0)))
    total = sum(
        (wide[:, y : y + height, x : x + width] for y in range(3) for x in range(3)),
        start=np.zeros(images.shape, np.uint16),
    )
    means: NDArray[np.uint8] = np.rint(total / 9).astype(np.uint8)
    return means
