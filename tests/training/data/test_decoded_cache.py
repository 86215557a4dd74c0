"""Images are decoded once, as serving would, or refused by name."""

from __future__ import annotations

import errno
import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from model.bundle.manifest import InputSpec, Preprocessing
from model.images import fitting, reading
from model.pixels import MAX_PIXELS
from tests.limits import file_size_limit
from tests.training import runs
from training.config.data import DataConfig
from training.data import decoded_cache
from training.data.decoded_cache import Recipe, decode
from training.data.sources import Source, open_source
from training.errors import DataError, DiskError

COLOUR = Recipe(
    InputSpec(channels=3, height=8, width=12, order="RGB"),
    Preprocessing(),
    convert=False,
    skip_unreadable=False,
)
GREY = replace(COLOUR, input=InputSpec(channels=1, height=8, width=12, order="L"))


def source(tmp_path: Path, folder: Path) -> Source:
    settings = DataConfig(source=str(folder), cache=str(tmp_path / "hub"))
    return open_source(settings)["train"]


def test_images_are_what_serving_makes_of_them(tmp_path: Path) -> None:
    """The cached array equals model/images/fitting.py's result for each file, in order."""
    found = source(tmp_path, runs.write_images(tmp_path / "pictures", 5))

    decoded = decode(found, COLOUR, tmp_path / "cache")

    for (_, content), image in zip(found.images(), decoded.images, strict=True):
        assert isinstance(content, bytes)
        original = reading.read(io.BytesIO(content), max_pixels=10_000)
        expected = fitting.fit(original, COLOUR.input, COLOUR.preprocessing).pixels
        np.testing.assert_array_equal(image, expected)


def test_the_second_time_reads_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Images that were decoded before are mapped from the cache and not decoded again."""
    found = source(tmp_path, runs.write_images(tmp_path / "pictures", 4))
    first = decode(found, COLOUR, tmp_path / "cache")
    monkeypatch.setattr(decoded_cache, "_fit", None)

    second = decode(found, COLOUR, tmp_path / "cache")

    assert isinstance(second.images, np.memmap)
    assert second.fingerprint == first.fingerprint
    np.testing.assert_array_equal(second.images, first.images)


def test_the_fingerprint_of_the_same_images_never_changes(tmp_path: Path) -> None:
    """Bundles and runs from before hold fingerprints, whatever a recipe can say since."""
    digits = DataConfig(source=str(runs.MNIST), cache=str(tmp_path / "hub"))
    grey = replace(GREY, input=InputSpec(channels=1, height=28, width=28, order="L"))

    decoded = decode(open_source(digits)["test"], grey, tmp_path / "cache")

    assert decoded.fingerprint == (
        "f723e9f7c0efb28556a6ae77044ceb076f5be131c02a2e328d94dd57bb30df5d"
    )


def test_the_fingerprint_covers_content_size_and_preprocessing(tmp_path: Path) -> None:
    """Another size, background or image is another entry of the cache."""
    found = source(tmp_path, runs.write_images(tmp_path / "pictures", 2))
    other = source(tmp_path, runs.write_images(tmp_path / "others", 2, seed=1))
    smaller = InputSpec(channels=3, height=4, width=4, order="RGB")
    recipes = (
        COLOUR,
        replace(COLOUR, input=smaller),
        replace(COLOUR, preprocessing=Preprocessing(background=255)),
    )

    prints = {decode(found, recipe, tmp_path / "cache").fingerprint for recipe in recipes}
    prints.add(decode(other, COLOUR, tmp_path / "cache").fingerprint)

    assert len(prints) == 4


def test_unreadable_images_are_all_named(tmp_path: Path) -> None:
    """Broken images end the run, each named with its reason, and with the setting to change."""
    folder = runs.write_images(tmp_path / "pictures", 3)
    whole = (folder / "picture-000.png").read_bytes()
    (folder / "picture-001.png").write_bytes(whole[: len(whole) // 2])
    (folder / "text.png").write_text("no image")

    with pytest.raises(DataError) as caught:
        decode(source(tmp_path, folder), COLOUR, tmp_path / "cache")

    message = str(caught.value)
    assert "2 of 4 images can't be read" in message
    assert "data.skip_unreadable = true" in message
    assert "picture-001.png: " in message
    assert "text.png: not an image" in message


def test_unreadable_images_are_skipped_when_told(tmp_path: Path) -> None:
    """With skip_unreadable the others are kept with their labels, and the skipped are named."""
    folder = tmp_path / "pictures"
    runs.write_images(folder / "a", 2)
    runs.write_images(folder / "b", 2)
    (folder / "a" / "picture-001.png").write_text("no image")

    decoded = decode(
        source(tmp_path, folder), replace(COLOUR, skip_unreadable=True), tmp_path / "cache"
    )

    assert decoded.images.shape == (3, 8, 12, 3)
    assert decoded.labels is not None
    assert decoded.labels.tolist() == [0, 1, 1]
    assert [Path(name).name for name in decoded.skipped] == ["picture-001.png"]
    assert decoded.images.any(axis=(1, 2, 3)).all()


def test_the_largest_image_makes_pillow_warn_of_nothing() -> None:
    """What training takes is below what Pillow warns of, which would be no sentence of ours."""
    assert Image.MAX_IMAGE_PIXELS is not None
    assert MAX_PIXELS <= Image.MAX_IMAGE_PIXELS


def test_nothing_readable(tmp_path: Path) -> None:
    """If every image is broken there is nothing to skip to."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    (folder / "text.png").write_text("no image")

    with pytest.raises(DataError, match="none of the 1 images can be read"):
        decode(source(tmp_path, folder), replace(COLOUR, skip_unreadable=True), tmp_path / "cache")


@pytest.mark.parametrize(
    ("recipe", "grey", "colour", "message"),
    [
        (COLOUR, 1, 2, r"1 of 3 images are in grey.*; set data\.convert = true"),
        (GREY, 1, 2, r"2 of 3 images are in colour.*; set data\.convert = true"),
        (GREY, 0, 2, r"2 of 2 .* in colour.*; set model\.channels = 3 .*or data\.convert = true"),
        (COLOUR, 2, 0, r"2 of 2 .* in grey.*; set model\.channels = 1 .*or data\.convert = true"),
    ],
)
def test_colours_that_are_not_the_models(
    tmp_path: Path, recipe: Recipe, grey: int, colour: int, message: str
) -> None:
    """A mixed folder, or one of the other kind, is refused with what to set."""
    folder = tmp_path / "pictures"
    if grey:
        runs.write_images(folder / "grey", grey, mode="L")
    if colour:
        runs.write_images(folder / "colour", colour)

    with pytest.raises(DataError, match=message):
        decode(source(tmp_path, folder), recipe, tmp_path / "cache")


@pytest.mark.parametrize("recipe", [COLOUR, GREY])
def test_colours_are_converted_when_told(tmp_path: Path, recipe: Recipe) -> None:
    """With data.convert a mixed folder trains."""
    folder = tmp_path / "pictures"
    runs.write_images(folder / "grey", 1, mode="L")
    runs.write_images(folder / "colour", 1)

    decoded = decode(source(tmp_path, folder), replace(recipe, convert=True), tmp_path / "cache")

    assert decoded.images.shape == (2, 8, 12, recipe.input.channels)


def test_a_failed_run_leaves_nothing_behind(tmp_path: Path) -> None:
    """After a refusal the cache holds neither a half-written entry nor a temporary folder."""
    folder = runs.write_images(tmp_path / "pictures", 2, mode="L")

    with pytest.raises(DataError):
        decode(source(tmp_path, folder), COLOUR, tmp_path / "cache")

    assert list((tmp_path / "cache").iterdir()) == []


def test_a_disk_that_fills_up(tmp_path: Path) -> None:
    """A disk that takes no more is one sentence with the path, and leaves nothing behind."""
    found = source(tmp_path, runs.write_images(tmp_path / "pictures", 40))
    large = replace(COLOUR, input=InputSpec(channels=3, height=64, width=64, order="RGB"))

    with file_size_limit(100_000), pytest.raises(DiskError, match=r"cache.*not written"):
        decode(found, large, tmp_path / "cache")

    assert list((tmp_path / "cache").iterdir()) == []
    assert decode(found, large, tmp_path / "cache").images.shape == (40, 64, 64, 3)


def test_the_cache_of_another_process_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the same images were decoded meanwhile, the entry that is there is used."""
    found = source(tmp_path, runs.write_images(tmp_path / "pictures", 3))
    first = decode(found, COLOUR, tmp_path / "cache")
    entry = tmp_path / "cache" / first.fingerprint
    about = (entry / "about.json").read_text()
    original = decoded_cache._write_images

    def meanwhile(*arguments: object) -> object:
        result = original(*arguments)  # type: ignore[arg-type]
        (entry / "about.json").write_text(about)
        return result

    (entry / "about.json").unlink()
    monkeypatch.setattr(decoded_cache, "_write_images", meanwhile)
    second = decode(found, COLOUR, tmp_path / "cache")

    np.testing.assert_array_equal(second.images, first.images)
    assert json.loads(about) == {"skipped": []}


@pytest.mark.parametrize("name", ["images.npy", "about.json", "kept.npy"])
@pytest.mark.parametrize("content", [None, b"", b"{}", "cut"])
def test_a_damaged_entry_is_decoded_anew(
    tmp_path: Path, name: str, content: bytes | str | None
) -> None:
    """A file that has gone, is empty, of something else or cut costs time and nothing more."""
    folder = runs.write_images(tmp_path / "pictures", 4)
    (folder / "broken.png").write_text("no image")
    found, recipe = source(tmp_path, folder), replace(COLOUR, skip_unreadable=True)
    first = decode(found, recipe, tmp_path / "cache")
    whole = np.array(first.images)
    file = tmp_path / "cache" / first.fingerprint / name
    cut = file.read_bytes()[:-1] if content == "cut" else content
    file.unlink()
    if isinstance(cut, bytes):
        file.write_bytes(cut)

    second = decode(found, recipe, tmp_path / "cache")

    np.testing.assert_array_equal(second.images, whole)
    np.testing.assert_array_equal(second.keys, first.keys)
    assert second.skipped == first.skipped


def test_the_limit_is_a_write_that_fails(tmp_path: Path) -> None:
    """The limit used above really makes a write fail, with the error of a full disk's kind."""
    with file_size_limit(10), (tmp_path / "file").open("wb", buffering=0) as file:
        file.write(b"x" * 10)
        with pytest.raises(OSError, match="too large") as caught:
            file.write(b"x")

    assert caught.value.errno == errno.EFBIG
