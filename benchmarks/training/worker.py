"""Runs one loop over one network in this process.

    python -m benchmarks.training.worker LOOP CASE FOLDER

`FOLDER` contains `images.npy`. Prints the time of a step as JSON.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch

from benchmarks.training.cases import CASES, Clock
from model.networks.vae import VAE

LOOPS = {
    "vaetrain": ("our_loop", "ours"),
    "bare loop": ("plain_loops", "bare"),
    "bare loop, our step": ("plain_loops", "bare_with_our_step"),
    "DataLoader": ("plain_loops", "data_loader"),
    "Lightning, defaults": ("lightning_loop", "defaults"),
    "Lightning, bare bones": ("lightning_loop", "stripped"),
    "pythae": ("pythae_loop", "pythae"),
}
"""Module and function by name."""


def main() -> None:
    """Runs one round."""
    name, case_name, folder = sys.argv[1:]
    torch.set_num_threads(1)
    case, path = CASES[case_name], Path(folder)
    module, function = LOOPS[name]
    loop = getattr(importlib.import_module(f"benchmarks.training.{module}"), function)
    images = np.load(path / "images.npy", mmap_mode="r")[: case.images]
    grey = torch.from_numpy(images.transpose(0, 3, 1, 2).copy())
    clock = Clock()
    clock.install(VAE)
    # Some loops print their progress, which must not mix with the JSON.
    with contextlib.redirect_stdout(sys.stderr):
        loop(case, grey, path)
    print(json.dumps(asdict(clock.taken(case.steps))))


if __name__ == "__main__":
    main()
