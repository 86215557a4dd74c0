"""Images of digits, like those of a model's training, and foreign images."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from io import BytesIO
from pathlib import Path

import numpy as np

from app.codecs.images import png
from model.bundle.manifest import InputSpec, Preprocessing, ReferenceSpec
from model.images.fitting import fit
from model.images.reading import read
from model.pixels import Images
from training.config.data import DataConfig
from training.data.dataset import spread_rows
from training.data.sources import open_source
from training.errors import DataError

USUAL = "digits"
_MAX_PIXELS = 1_000_000


def sets(
    digits: Path, others: Path, reference: ReferenceSpec | None, spec: InputSpec, count: int
) -> Mapping[str, list[bytes]]:
    """Sets of `count` image files by name: the digits, and images that are foreign to them.

    All digits are test images. None is in two sets, and none is in the bundle's reference.

    Args:
        digits: a folder that `--data` takes, with a test split.
        others: a folder of other images, which the service fits to the model's size.
        reference: the bundle's reference, if it has one.
        spec: the model's input.
        count: images of each set.

    Raises:
        DataError: a folder is unreadable, or has too few images.
    """
    files = _test_files(digits)
    known = {int(row) for row in spread_rows(len(files), reference.n)} if reference else set()
    free = [file for row, file in enumerate(files) if row not in known]
    rng = np.random.Generator(np.random.PCG64(0))
    changes: dict[str, Callable[[Images], Images]] = {
        "inverted digits": lambda image: 255 - image,
        "digits, pixels shuffled": lambda image: _shuffled(image, rng),
        "upper halves of digits": _upper_half,
    }
    if len(free) < (1 + len(changes)) * count:
        msg = f"{digits}: {len(free)} test images are too few for {1 + len(changes)} × {count}"
        raise DataError(msg)
    found = {USUAL: free[:count]}
    for number, (name, change) in enumerate(changes.items(), 1):
        part = free[number * count : (number + 1) * count]
        found[name] = [png(change(_pixels(file, spec))) for file in part]
    shape = (count, spec.height, spec.width, spec.channels)
    found["uniform noise"] = [png(image) for image in rng.integers(0, 256, shape, np.uint8)]
    foreign = _test_files(others)
    if len(foreign) < count:
        raise DataError(f"{others}: {len(foreign)} test images are fewer than {count}")
    found["photographs"] = [foreign[row] for row in spread_rows(len(foreign), count)]
    return found


def blank(spec: InputSpec) -> bytes:
    """A black image."""
    return png(np.zeros((spec.height, spec.width, spec.channels), np.uint8))


def _test_files(folder: Path) -> Sequence[bytes]:
    config = DataConfig(source=str(folder))
    sources = open_source(config)
    if config.test_split not in sources:
        raise DataError(f"{folder}: has no split {config.test_split!r}")
    source = sources[config.test_split]
    return [content for _, content in source.images() if isinstance(content, bytes)]


def _pixels(file: bytes, spec: InputSpec) -> Images:
    return fit(read(BytesIO(file), max_pixels=_MAX_PIXELS), spec, Preprocessing()).pixels


def _upper_half(image: Images) -> Images:
    """The image with its lower half black, which is simpler than a digit."""
    halved = image.copy()
    halved[image.shape[0] // 2 :] = 0
    return halved


def _shuffled(image: Images, rng: np.random.Generator) -> Images:
    """The same pixels in a random order."""
    return rng.permutation(image.reshape(-1)).reshape(image.shape)
