"""Animated files, read back frame by frame."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image, ImageSequence

from app.codecs import animations
from model.pixels import Images


def frames(n: int, channels: int) -> Images:
    """Random images uint8 [n, 12, 10, c], of few enough colours for a GIF to keep."""
    drawn = np.random.default_rng(0).integers(0, 256, (n, 12, 10, channels))
    return drawn.astype(np.uint8)


def read(content: bytes, mode: str) -> tuple[Images, list[int]]:
    """The frames [n, h, w, c] and how long each stays."""
    file = Image.open(io.BytesIO(content))
    assert file.info["loop"] == 0
    shown, times = [], []
    for frame in ImageSequence.Iterator(file):
        shown.append(np.asarray(frame.convert(mode)).reshape(file.height, file.width, -1))
        times.append(frame.info["duration"])
    return np.stack(shown), times


@pytest.mark.parametrize("channels", [1, 3])
def test_webp_keeps_every_pixel(channels: int) -> None:
    """Frames come back exactly, as often as they were given and for as long."""
    given = frames(5, channels)
    shown, _ = read(animations.webp(given, 45), "RGB")
    assert (shown == given).all()
    assert Image.open(io.BytesIO(animations.webp(given, 45))).format == "WEBP"


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (3, "RGB")])
def test_gif_keeps_grey_levels_and_few_colours(channels: int, mode: str) -> None:
    """Frames of at most 256 colours come back exactly, at times of hundredths of a second."""
    given = frames(5, channels)
    shown, times = read(animations.gif(given, 45), mode)
    assert (shown == given).all()
    assert times == [40] * 5


def test_equal_frames_stay_as_long() -> None:
    """An image that is given three times is shown once, for three times as long."""
    shown, times = read(animations.gif(np.repeat(frames(1, 1), 3, axis=0), 100), "L")
    assert (len(shown), sum(times)) == (1, 300)
