"""What a set of images holds, and what is odd about it."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from model.bundle.manifest import InputSpec, Preprocessing
from tests.training import runs
from training.check.inspection import Survey, overlap, survey
from training.config.data import DataConfig
from training.data.decoded_cache import Recipe
from training.data.sources import Source, open_source

RECIPE = Recipe(
    InputSpec(channels=3, height=16, width=16, order="RGB"),
    Preprocessing(),
    convert=True,
    skip_unreadable=True,
)


def source(tmp_path: Path, folder: Path) -> Source:
    settings = DataConfig(source=str(folder), cache=str(tmp_path / "hub"))
    return open_source(settings)["train"]


def surveyed(tmp_path: Path, folder: Path) -> Survey:
    found = source(tmp_path, folder)
    return survey(found, RECIPE, found.content()[1])


def odd_images(folder: Path) -> Path:
    """One image of each kind that is odd, among four that are not."""
    runs.write_images(folder, 4, size=(20, 20))
    shutil.copy(folder / "picture-000.png", folder / "copy.png")
    (folder / "broken.png").write_text("no image")
    noise = np.random.default_rng(0).integers(0, 256, (20, 20, 4), dtype=np.uint8)
    Image.fromarray(noise[:8, :8, :3]).save(folder / "small.png")
    Image.fromarray(np.tile(noise[..., :3], (1, 5, 1))).save(folder / "long.png")
    Image.new("RGB", (20, 20), (9, 8, 7)).save(folder / "flat.png")
    Image.fromarray(noise).save(folder / "glass.png")
    Image.fromarray(noise[..., 0]).save(folder / "grey.png")
    turned = Image.Exif()
    turned[0x0112] = 6
    Image.fromarray(noise[..., :3]).save(folder / "turned.jpg", exif=turned)
    return folder


def test_what_is_odd_is_counted_and_named(tmp_path: Path) -> None:
    """Each oddity is found once, with the file that has it; what is usual is not one."""
    found = surveyed(tmp_path, odd_images(tmp_path / "pictures"))

    named = {
        what: [Path(example.split(": ")[0]).name for example in finding.examples]
        for what, finding in found.findings.items()
    }
    assert named == {
        "exact copies of another image": ["picture-000.png"],
        "unreadable": ["broken.png"],
        "smaller than the model, so enlarged": ["small.png"],
        "longer than 3 times their width or height, so mostly cropped away": ["long.png"],
        "of one colour all over": ["flat.png"],
        "transparent, so laid on the background": ["glass.png"],
        "turned by their EXIF orientation": ["turned.jpg"],
        "grey images among colour ones": [],
    }
    assert all(finding.count == 1 for finding in found.findings.values())


def test_kinds_and_sizes_are_counted(tmp_path: Path) -> None:
    """Modes and sizes are those of the files; images are shown as the encoder sees them."""
    found = surveyed(tmp_path, odd_images(tmp_path / "pictures"))

    assert found.count == 12
    assert found.modes == {"RGB": 9, "RGBA": 1, "L": 1}
    assert found.sizes == {"20×20": 9, "8×8": 1, "100×20": 1}
    assert {image.shape for image in found.shown} == {(16, 16, 3)}


def write(folder: Path, images: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> Path:
    folder.mkdir()
    for number, image in enumerate(images):
        Image.fromarray(image).save(folder / f"{number}.png")
    return folder


def test_black_and_white_images_are_known(tmp_path: Path) -> None:
    """Only black and white values are binary; a few grey ones are near it; ramps are neither."""
    rng = np.random.default_rng(0)
    binary = rng.choice([0, 255], (4, 16, 16)).astype(np.uint8)
    near = np.where(rng.random((4, 16, 16)) < 0.1, 128, binary).astype(np.uint8)
    ramps = np.tile(np.linspace(0, 255, 16, dtype=np.uint8), (4, 16, 1))

    kinds = []
    for name, images in (("binary", binary), ("near", near), ("ramps", ramps)):
        found = surveyed(tmp_path, write(tmp_path / name, images))
        kinds.append((found.is_binary, found.is_near_binary))

    assert kinds == [(True, True), (False, True), (False, False)]


def test_values_that_never_change_are_counted(tmp_path: Path) -> None:
    """A border that is the same in all images carries nothing."""
    images = np.random.default_rng(0).integers(0, 256, (6, 16, 16), dtype=np.uint8)
    images[:, :2] = 7

    assert surveyed(tmp_path, write(tmp_path / "bordered", images)).constant_pixels == 2 * 16 * 3


@pytest.mark.parametrize("shared", [0, 2])
def test_images_on_both_sides_are_counted(tmp_path: Path, shared: int) -> None:
    """Test images that are training images too are found by their bytes."""
    first = runs.write_images(tmp_path / "first", 5)
    second = runs.write_images(tmp_path / "second", 3, seed=1)
    for number in range(shared):
        shutil.copy(first / f"picture-{number:03}.png", second / f"copy-{number}.png")

    keys = [source(tmp_path, folder).content()[1] for folder in (first, second)]

    assert overlap(*keys) == shared
