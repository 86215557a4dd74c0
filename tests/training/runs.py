"""Small runs for the tests: a tiny network on some hundred real images, for seconds."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import datasets
import numpy as np
from PIL import Image
from rich.console import Console

from training.config.presets import read_config
from training.config.run import TrainingConfig

MNIST = Path(__file__).parent.parent / "data" / "mnist"
ROOT = Path(__file__).parent.parent.parent
QUIET = Console(quiet=True)

PRESET = """
epochs = 12
batch_size = 40
threads = 1
precision = "float32"
ema = 0.9
[model]
latent_dim = 4
network = { architecture = "mlp", hidden = [64] }
likelihood = { family = "bernoulli", binarise = "sample" }
[optimiser]
learning_rate = 5e-3
warmup_steps = 10
[evaluation]
samples = 5
pictures = 40
[bundle]
name = "digits"
"""


NETS = """
import torch
from torch import nn
import helper


class Encoder(nn.Module):
    def __init__(self, image_shape, latent_shape, width=helper.WIDTH):
        super().__init__()
        self.latent_shape = latent_shape
        layers = nn.Linear(784, width), nn.Tanh(), nn.Linear(width, 16)
        self.body = nn.Sequential(nn.Flatten(), *layers)

    def forward(self, image):
        parts = self.body(image).chunk(2, 1)
        return tuple(part.reshape(-1, *self.latent_shape) for part in parts)


class Decoder(nn.Module):
    def __init__(self, image_shape, latent_shape, width=5):
        super().__init__()
        self.body = nn.Sequential(nn.Flatten(), nn.Linear(8, 784), nn.Unflatten(1, image_shape))

    def forward(self, latent):
        return self.body(latent)


class Plain:
    pass


class Batch(Decoder):
    def __init__(self, *shapes):
        super().__init__(*shapes)
        self.body.append(nn.BatchNorm2d(1))


class Dropped(Decoder):
    def __init__(self, *shapes):
        super().__init__(*shapes)
        self.body.append(nn.Dropout())


class Noisy(Decoder):
    def forward(self, latent):
        return self.body(latent) + torch.randn(1)


class Centred(Decoder):
    def forward(self, latent):
        return self.body(latent - latent.mean(0))


class Shy(Decoder):
    def forward(self, latent):
        return self.body(latent) * (1 if self.training else 2)


class Flat(Decoder):
    def forward(self, latent):
        return self.body(latent).flatten(1)


class Pair(Decoder):
    def forward(self, latent):
        return self.body(latent), None


class Broken(Decoder):
    def forward(self, latent):
        raise RuntimeError("broken on purpose")
"""


def preset(folder: Path) -> Path:
    """Writes the tiny preset as a TOML file of one's own."""
    path = folder / "tiny.toml"
    path.write_text(PRESET)
    return path


def config(folder: Path, *overrides: str, data: Path = MNIST) -> TrainingConfig:
    """The tiny configuration, its cache below `folder`."""
    return read_config(
        str(preset(folder)),
        [f"data.source={data}", f"data.cache={folder / 'cache'}", *overrides],
    )


def custom_config(folder: Path, *overrides: str, decoder: str = "nets:Decoder") -> TrainingConfig:
    """The tiny run with networks of one's own and a latent map, one value a cell."""
    (folder / "nets.py").write_text(NETS)
    (folder / "helper.py").write_text("WIDTH = 6\n")
    network = f'{{architecture="custom", encoder="nets:Encoder", decoder="{decoder}"}}'
    return config(
        folder, f"model.network={network}", "model.latent_map=[2, 2, 2]", "epochs=2", *overrides
    )


def vaetrain(*arguments: object, **options: Any) -> subprocess.Popen[str]:
    """`vaetrain` in a process of its own."""
    command = [sys.executable, "-W", "error", "-m", "training", *map(str, arguments)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "200"}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, **options}
    return subprocess.Popen(command, cwd=ROOT, env=environment, **pipes)


def write_images(
    folder: Path, count: int, *, mode: str = "RGB", size: tuple[int, int] = (20, 16), seed: int = 0
) -> Path:
    """Writes coloured or grey gradients, each another, as PNG files; returns the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    width, height = size
    ramp = np.linspace(0, 1, width)[None, :] + np.linspace(0, 1, height)[:, None]
    for number in range(count):
        colour = rng.uniform(0, 127, size=3)
        pixels = (ramp[:, :, None] * colour).astype(np.uint8)
        Image.fromarray(pixels).convert(mode).save(folder / f"picture-{number:03}.png")
    return folder


def write_table(path: Path, folder: Path) -> Path:
    """Writes a folder's files as one parquet file with a column of images, as on the hub."""
    path.parent.mkdir(parents=True, exist_ok=True)
    files = [{"bytes": file.read_bytes(), "path": file.name} for file in sorted(folder.iterdir())]
    features = datasets.Features({"image": datasets.Image()})
    datasets.Dataset.from_dict({"image": files}, features=features).to_parquet(path)
    return path
