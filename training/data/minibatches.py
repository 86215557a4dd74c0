"""Minibatches and noise, each a function of (seed, step) alone.

A run that was killed and resumed therefore uses the same images, binarisation and noise as an
uninterrupted run.
"""

from __future__ import annotations

import enum
import hashlib

import numpy as np
import torch
from torch import Tensor

from model.config import Binarisation
from model.pixels import Images
from training.config.data import AugmentConfig
from training.data.memmap import ImageRows
from training.system import available_memory

_PART_OF_MEMORY = 0.5
_COPIED_AT_ONCE = 1024


class Draw(enum.StrEnum):
    """The purposes of random numbers; different draws of one seed are independent."""

    WEIGHTS = "weights"
    ORDER = "order"
    AUGMENT = "augment"
    BINARISE = "binarise"
    LATENT = "latent"
    VALIDATION_PIXELS = "validation pixels"
    VALIDATION_LATENT = "validation latent"
    SAMPLES = "samples"
    CALIBRATION_LATENT = "calibration latent"


class Minibatches:
    """The training images in a new order each epoch; kept on the device if they fit there."""

    def __init__(
        self,
        images: ImageRows,
        *,
        batch_size: int,
        seed: int,
        binarise: Binarisation,
        device: torch.device,
        augmented: AugmentConfig | None = None,
    ) -> None:
        self._images: ImageRows | Tensor = images
        # Images that take more of the free memory are read as needed.
        if images.nbytes < _PART_OF_MEMORY * free_memory(device):
            self._images = _resident(images, device)
        self._batch_size = batch_size
        self._seed = seed
        self._binarise = binarise
        self._device = device
        self._augmented = augmented if augmented and augmented.is_on else None
        self._epoch = -1
        self._order = np.empty(0, dtype=np.int64)

    @property
    def steps_per_epoch(self) -> int:
        """Every image is seen once an epoch, so the last minibatch may be smaller."""
        return -(-len(self._images) // self._batch_size)

    def __getitem__(self, step: int) -> Tensor:
        """float32 [n, c, h, w] in [0, 1]: the step's images, augmented and binarised if so
        configured."""
        epoch, position = divmod(step, self.steps_per_epoch)
        if epoch != self._epoch:
            rng = generator(torch.device("cpu"), self._seed, Draw.ORDER, epoch)
            self._order = torch.randperm(len(self._images), generator=rng).numpy()
            self._epoch = epoch
        rows = self._order[position * self._batch_size : (position + 1) * self._batch_size]
        grey = self._take(rows)
        if self._augmented:
            rng = generator(self._device, self._seed, Draw.AUGMENT, step)
            grey = augment(grey, self._augmented, rng)
        return to_targets(grey, self._binarise, self._seed, Draw.BINARISE, step)

    def noise(self, step: int, rows: int, shape: tuple[int, ...]) -> Tensor:
        """N(0, 1) noise [rows, *shape] of a step, for the reparameterisation."""
        rng = generator(self._device, self._seed, Draw.LATENT, step)
        return torch.randn(rows, *shape, generator=rng, device=self._device)

    def _take(self, rows: np.ndarray[tuple[int, ...], np.dtype[np.int64]]) -> Tensor:
        if isinstance(self._images, Tensor):
            return self._images[torch.from_numpy(rows).to(self._device)]
        return to_tensor(self._images[rows]).to(self._device)


def augment(images: Tensor, config: AugmentConfig, rng: torch.Generator) -> Tensor:
    """Mirrors and shifts images uint8 [n, c, h, w] at random.

    Each image is mirrored left to right with probability `flip`, and shifted by up to `shift`
    pixels each way; its edge is repeated into the gap. The model then learns the density of the
    augmented images. `rng` is on the images' device.
    """
    count, _, height, width = images.shape
    device = images.device
    mirrored = torch.rand(count, 1, generator=rng, device=device) < config.flip
    moved = torch.randint(
        -config.shift, config.shift + 1, (2, count, 1), generator=rng, device=device
    )
    rows = torch.arange(height, device=device) + moved[0]
    columns = torch.arange(width, device=device) + moved[1]
    columns = torch.where(mirrored, width - 1 - columns, columns)
    image = torch.arange(count, device=device)[:, None, None]
    row, column = rows.clamp(0, height - 1)[:, :, None], columns.clamp(0, width - 1)[:, None, :]
    # Advanced indices around a slice put its axis last.
    return images[image, :, row, column].permute(0, 3, 1, 2)


def to_targets(
    grey: Tensor,
    binarise: Binarisation,
    seed: int,
    draw: Draw,
    step: int = 0,
) -> Tensor:
    """uint8 [n, c, h, w] → float32 in [0, 1]: what the encoder sees and the likelihood scores."""
    if binarise == "threshold":
        return (grey >= 128).float()
    scaled = grey.float() * (1 / 255)
    if binarise == "none":
        return scaled
    rng = generator(grey.device, seed, draw, step)
    return (torch.rand(grey.shape, generator=rng, device=grey.device) < scaled).float()


def generator(device: torch.device, seed: int, draw: Draw, step: int = 0) -> torch.Generator:
    """The random generator for (seed, draw, step)."""
    key = hashlib.sha256(f"{seed}/{draw.value}/{step}".encode()).digest()
    return torch.Generator(device).manual_seed(int.from_bytes(key[:8], "little"))


def to_tensor(images: Images) -> Tensor:
    """uint8 [n, h, w, c] → uint8 [n, c, h, w], a copy."""
    return torch.from_numpy(np.array(images.transpose(0, 3, 1, 2), order="C"))


def _resident(images: ImageRows, device: torch.device) -> Tensor:
    count, height, width, channels = images.shape
    resident = torch.empty((count, channels, height, width), dtype=torch.uint8, device=device)
    # In parts, to avoid a second copy of the whole set in memory.
    for start in range(0, count, _COPIED_AT_ONCE):
        part = slice(start, start + _COPIED_AT_ONCE)
        resident[part] = to_tensor(images[part]).to(device)
    return resident


def free_memory(device: torch.device) -> int:
    """Bytes that can still be allocated on the device."""
    return torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else available_memory()
