"""The bundle's reference: bounds of images that the model was not trained on, to compare with.

Computed from the exported graphs by what serving computes `/score` with
(`model.likelihood.estimate`), for each way in which it makes images binary, with
the K that it takes by default.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from rich.console import Console

from model.bundle.manifest import Binarisation, LikelihoodSpec, ReferenceSpec
from model.bundle.reference import SAMPLES, write_reference
from model.cores import available_cores
from model.likelihood import estimate
from model.likelihood.bounds import Nats
from model.pixels import Images
from training.config.run import TrainingConfig
from training.data.dataset import Data, held_out, reload_data, spread_rows
from training.errors import StageError
from training.evaluation.evaluate import over_images
from training.export.graphs import Graphs, load_graphs, read_export
from training.fit.calibration import to_likelihood
from training.workdir import Workdir, write_bytes, write_json


def reference(folder: Path, overrides: Sequence[str] = (), console: Console | None = None) -> None:
    """Writes `reference.npz`, and `reference.json`, which describes it.

    Raises:
        DataError: no image is held out, or they changed since training.
        StageError: `export` has not run, a file that it wrote is damaged, or a bound is not finite.
    """
    workdir = Workdir(folder)
    config = workdir.read_config(overrides)
    exported = read_export(workdir)
    likelihood = to_likelihood(config.model, exported.about["scale"])
    data = reload_data(workdir, config)
    spec, content = measure_reference(load_graphs(exported), likelihood, data, config, console)
    write_bytes(workdir.reference, content)
    write_json(workdir.reference_about, spec.model_dump(mode="json"))


def measure_reference(
    graphs: Graphs,
    likelihood: LikelihoodSpec,
    data: Data,
    config: TrainingConfig,
    console: Console | None = None,
) -> tuple[ReferenceSpec, bytes]:
    """The bounds of up to `evaluation.reference_pictures` held-out images, evenly chosen: what
    they are, and the content of `reference.npz`.

    Raises:
        DataError: no image is held out.
        StageError: a bound is not finite.
    """
    name, split, fingerprint = held_out(data, config)
    rows = spread_rows(len(split), config.evaluation.reference_pictures)
    images, seed = np.asarray(split.images[rows]), config.evaluation.reference_seed
    threads = config.threads or available_cores()
    bounds: dict[Binarisation, Nats] = {
        how: bounds_of(graphs, likelihood, images, how, seed, threads=threads, console=console)
        for how in likelihood.likelihood.binarisations
    }
    spec = ReferenceSpec(
        split=name,
        fingerprint=fingerprint,
        n=len(rows),
        samples=SAMPLES,
        seed=seed,
        binarised=tuple(bounds),
    )
    _print(bounds, spec, console or Console(stderr=True))
    return spec, write_reference(bounds)


def bounds_of(
    graphs: Graphs,
    likelihood: LikelihoodSpec,
    images: Images,
    how: Binarisation,
    seed: int,
    *,
    threads: int,
    console: Console | None = None,
) -> Nats:
    """Importance-weighted bounds [n] of images uint8 [n, h, w, c], as `/score` answers them.

    Raises:
        StageError: one is not finite.
    """
    binarise: estimate.Binarise | None = None if how == "none" else how
    # The encoders trained here take what is scored: the range is [0, 1].
    _, targets = estimate.prepare(images, binarise, seed)
    mean, logvar = graphs.encode(targets)

    def of_image(row: int) -> float:
        latents, epsilon = estimate.draw(SAMPLES, seed, row, mean[row], logvar[row])
        params = graphs.decoder.run(latents, ["params"])[0]
        found = estimate.estimate(
            likelihood, targets[row], params, latents, epsilon, logvar[row], graphs.mixture
        )
        return found.importance_weighted

    described = f"reference ({how})"
    bounds = np.array(
        over_images(of_image, len(targets), described, threads=threads, console=console)
    )
    if not np.isfinite(bounds).all():
        raise StageError(f"the bound of image {int(np.argmin(np.isfinite(bounds)))} is not finite")
    return bounds


def _print(bounds: Mapping[Binarisation, Nats], spec: ReferenceSpec, console: Console) -> None:
    for how, values in bounds.items():
        quarters = ", ".join(f"{value:.1f}" for value in np.percentile(values, (25, 50, 75)))
        console.print(
            f"reference, {spec.n} {spec.split} images, binarised: {how}: "
            f"quartiles of the bound {quarters} nats",
            highlight=False,
            soft_wrap=True,
        )
