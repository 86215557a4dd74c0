"""Measures the exported graphs on the test images: bounds, KL, active units, squared error.

The images are binarised once, by NumPy's PCG64 under a committed seed, so that runs are
compared on the same bits; the metrics include a hash of them. Everything is float32 and
onnxruntime on the CPU, which is what serves.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from rich.console import Console
from rich.progress import Progress

from model import pixels
from model.bundle.manifest import LikelihoodSpec
from model.cores import available_cores
from model.likelihood import bounds
from model.networks import elbo
from model.pixels import Floats, Images
from training.config.run import TrainingConfig
from training.config.sections import EvaluationConfig
from training.data.dataset import Data, Split, reload_data, spread_rows
from training.errors import DataError
from training.evaluation.metrics import Measured, print_metrics, to_metrics
from training.export.graphs import Graphs, load_graphs, read_export
from training.fit.calibration import to_likelihood
from training.workdir import Workdir, write_atomic, write_json

_Figure = TypeVar("_Figure")

_ROWS = 100
"""Latents decoded at once: few enough that their images stay in the processor's cache."""


def evaluate(folder: Path, overrides: Sequence[str] = (), console: Console | None = None) -> None:
    """Writes `metrics.json` and `posterior.npz` (means and labels of the images measured on).

    Raises:
        DataError: there are no test images, or they changed since training.
        StageError: `export` has not run, or a file that it wrote is damaged.
    """
    workdir = Workdir(folder)
    config = workdir.read_config(overrides)
    exported = read_export(workdir)
    graphs = load_graphs(exported)
    spec = to_likelihood(config.model, exported.about["scale"])
    measured_on = _split(reload_data(workdir, config), config.evaluation)
    rows = spread_rows(len(measured_on), config.evaluation.pictures)
    targets, digest = to_test_targets(np.asarray(measured_on.images[rows]), config)
    threads = config.threads or available_cores()
    measured = measure(graphs, targets, config.evaluation, spec, threads=threads, console=console)
    metrics = to_metrics(measured, config, digest)
    # A mixture's KL is no sum over dimensions.
    kl = [] if graphs.mixture else bounds.kl_per_dimension(measured.mean, measured.logvar).mean(0)
    document = {
        "split": config.evaluation.split,
        "metrics": {name: metric.model_dump(mode="json") for name, metric in metrics.items()},
        "kl_per_dimension": np.ravel(kl).tolist(),
    }
    known = measured_on.labels
    labels = np.empty(0, np.int64) if known is None else known[rows]
    write_atomic(
        workdir.posterior,
        lambda file: np.savez(file, mean=measured.mean, logvar=measured.logvar, label=labels),
    )
    write_json(workdir.metrics, document)
    print_metrics(metrics, console)


def _split(data: Data, config: EvaluationConfig) -> Split:
    found = data.test if config.split == "test" else data.validation
    if not len(found):
        raise DataError(
            f"there are no {config.split} images: set data.{config.split}_share above 0 and "
            "train again"
        )
    return found


def to_test_targets(images: Images, config: TrainingConfig) -> tuple[Floats, str]:
    """uint8 [n, h, w, c] → float32 [n, c, h, w] as the model is tested, and the bits' SHA-256.

    Sampled binarisation draws all pixels in order from PCG64(`evaluation.binarise_seed`).
    """
    if config.binarise == "sample":
        rng = np.random.Generator(np.random.PCG64(config.evaluation.binarise_seed))
        images = np.where(rng.random(images.shape) * 255 < images, np.uint8(255), np.uint8(0))
    elif config.binarise == "threshold":
        images = pixels.binarise(images, "threshold")
    return pixels.to_float(images), hashlib.sha256(images.tobytes()).hexdigest()


def measure(
    graphs: Graphs,
    targets: Floats,
    config: EvaluationConfig,
    spec: LikelihoodSpec,
    *,
    threads: int,
    console: Console | None = None,
) -> Measured:
    """Encodes targets [n, c, h, w] and estimates each image's bound from K latents.

    Image i's noise comes from PCG64 keyed by (`importance_seed`, i), so that the metrics do not
    depend on threads or batches.
    """
    mean, logvar = graphs.encode(targets)
    shown = graphs.decode(mean)

    # torch and not model/likelihood/bounds.py's NumPy: K decodings an image make speed
    # count here, and tests hold the two to the same figures.
    def of_image(index: int) -> tuple[float, float, float]:
        rng = np.random.Generator(np.random.PCG64([config.importance_seed, index]))
        shape = (config.samples, *mean.shape[1:])
        noise = torch.from_numpy(rng.standard_normal(shape, dtype=np.float32))
        log_variance = torch.from_numpy(logvar[index : index + 1])
        latents = elbo.reparameterize(
            torch.from_numpy(mean[index : index + 1]), log_variance, noise
        )
        target = torch.from_numpy(targets[index : index + 1])
        log_likelihood = _log_likelihood(graphs, target, latents, spec)
        log_prior = None  # the weights know N(0, I) themselves
        if graphs.mixture:
            log_prior = torch.from_numpy(graphs.mixture.log_density(latents.numpy()))
        log_weights = elbo.log_importance_weight(
            log_likelihood, latents, noise, log_variance, log_prior
        )
        bound = elbo.importance_weighted_bound(log_weights.double()[None])
        of_prior = math.nan if log_prior is None else float(log_prior.mean())
        return float(bound), float(log_likelihood.double().mean()), of_prior

    with _single_threaded_torch():
        figures = over_images(of_image, len(targets), "images", threads=threads, console=console)
    bound, log_likelihood, log_prior = np.array(figures).T
    divergence = (
        bounds.kl_estimate(log_prior, logvar) if graphs.mixture else bounds.kl(mean, logvar)
    )
    squared_error = bounds.squared_error(targets, shown)
    return Measured(mean, logvar, bound, log_likelihood, divergence, squared_error)


def _log_likelihood(
    graphs: Graphs, target: torch.Tensor, latents: torch.Tensor, spec: LikelihoodSpec
) -> torch.Tensor:
    scale = None if spec.scale is None else torch.tensor(spec.scale)
    parts = []
    for start in range(0, len(latents), _ROWS):
        chunk = latents[start : start + _ROWS].numpy()
        params = torch.from_numpy(graphs.decoder.run(chunk, ["params"])[0])
        parts.append(elbo.log_likelihood(spec.family, scale, target.expand_as(params), params))
    return torch.cat(parts)


@contextmanager
def _single_threaded_torch() -> Iterator[None]:
    """One thread for each image is faster than several on each."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def over_images(
    measure_one: Callable[[int], _Figure],
    count: int,
    description: str,
    *,
    threads: int,
    console: Console | None,
) -> list[_Figure]:
    """`measure_one` of each image 0 … count − 1, in order, with a bar on a terminal."""
    shown = console or Console(stderr=True)
    with (
        ThreadPoolExecutor(threads) as pool,
        Progress(console=shown, disable=not shown.is_terminal) as progress,
    ):
        figures = pool.map(measure_one, range(count))
        return list(progress.track(figures, total=count, description=description))
