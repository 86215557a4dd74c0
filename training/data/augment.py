"""Augmentation: mirrored and shifted images, drawn anew for each minibatch.

What is trained on is then the density of the augmented images, and no longer that of the data.
"""

from __future__ import annotations

import torch
from torch import Tensor

from training.config.data import AugmentConfig


def augment(images: Tensor, config: AugmentConfig, rng: torch.Generator) -> Tensor:
    """uint8 [n, c, h, w] → the same shape: each image mirrored left to right with probability
    `flip`, and moved by up to `shift` pixels each way, its edge repeated where it has moved from
    (a random crop of the padded image). `rng` is on the images' device."""
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
