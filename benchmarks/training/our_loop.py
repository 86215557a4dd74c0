"""`training.fit.fit.fit`, as `vaetrain fit` calls it."""

from __future__ import annotations

import io
import itertools
from pathlib import Path

import datasets
from rich.console import Console
from torch import Tensor

from benchmarks.load.workloads import to_png
from benchmarks.training.cases import BATCH, BETAS, EPOCHS, LEARNING_RATE, Case
from model.pixels import Images
from training.config.run import TrainingConfig
from training.data.hub import quiet
from training.fit.fit import fit

_runs = itertools.count()


def write_images(images: Images, folder: Path) -> None:
    """Writes uint8 [n, h, w, 1] as parquet files in the hub's layout, two as test images."""
    columns = datasets.Features({"image": datasets.Image()})
    for split, part in (("train", images), ("test", images[:2])):
        rows = [{"bytes": to_png(image, level=1)} for image in part]
        path = folder / f"{split}-00000-of-00001.parquet"
        with quiet(bars=False):
            datasets.Dataset.from_dict({"image": rows}, features=columns).to_parquet(str(path))


def ours(case: Case, _grey: Tensor, folder: Path) -> None:
    """Runs one round over the images that `write_images` wrote."""
    config = TrainingConfig.model_validate(
        {
            "epochs": EPOCHS,
            "batch_size": BATCH,
            "threads": 1,
            "device": "cpu",
            "precision": "float32",
            "model": case.model.model_dump(),
            "optimiser": {"learning_rate": LEARNING_RATE, "beta1": BETAS[0], "beta2": BETAS[1]},
            "data": {"source": str(folder / "images"), "cache": str(folder / "cache")},
        }
    )
    fit(config, folder / f"run-{next(_runs)}", console=Console(file=io.StringIO()))
