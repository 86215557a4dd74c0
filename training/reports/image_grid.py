"""Images side by side in one, and that one as a file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from model.pixels import Images
from training.workdir import write_atomic

_GAP = 2
BACKGROUND = 96
"""Grey level between the images of a grid, and in cells without one."""
_WIDTH = 1000


def tile(images: Images, columns: int) -> Images:
    """uint8 [n, h, w, c] → one image [H, W, c], row by row, with grey gaps between."""
    count, height, width, channels = images.shape
    rows = -(-count // columns)
    cell = (height + _GAP, width + _GAP)
    grid = np.full(
        (rows * cell[0] + _GAP, columns * cell[1] + _GAP, channels), BACKGROUND, np.uint8
    )
    for index, image in enumerate(images):
        top = _GAP + index // columns * cell[0]
        left = _GAP + index % columns * cell[1]
        grid[top : top + height, left : left + width] = image
    return grid


def enlarge(image: Images) -> Images:
    """An image [h, w, c] enlarged by a whole factor to about 1,000 pixels in width."""
    factor = max(1, round(_WIDTH / image.shape[1]))
    return image.repeat(factor, axis=0).repeat(factor, axis=1)


def write_image(path: Path, image: Images) -> None:
    """Writes a uint8 image [h, w, c] of 1 or 3 channels as PNG."""
    opened = Image.fromarray(image[:, :, 0] if image.shape[2] == 1 else image)
    write_atomic(path, lambda file: opened.save(file, format="PNG", optimize=True))
