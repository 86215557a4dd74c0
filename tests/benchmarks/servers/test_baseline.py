"""The other servers' model side: images in and out, and nothing of this service."""

from __future__ import annotations

import ast
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks.servers import baseline
from benchmarks.servers.baseline import OnnxNetworks, Shapes
from tests import arithmetic_bundle

BENCHMARKS = Path(baseline.__file__).parents[1]
SERVERS = [
    BENCHMARKS / "servers" / "baseline.py",
    *(
        BENCHMARKS / "peers" / f"{name}.py"
        for name in (
            *("bentoml_service", "litserve_server", "mlserver_models", "mlserver_start"),
            "ray_server",
        )
    ),
]


@pytest.mark.parametrize("path", SERVERS, ids=lambda path: path.stem)
def test_other_servers_use_nothing_of_this_one(path: Path) -> None:
    """They are compared with this service, so they can't be made of it."""
    imported: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add(node.module or "")
    roots = {name.partition(".")[0] for name in imported}
    assert not roots & {"app", "model", "training"}
    own = {name for name in imported if name.startswith("benchmarks")}
    assert own <= {"benchmarks.servers.baseline"}


def test_a_image_becomes_a_row_of_the_models_size(tmp_path: Path) -> None:
    """Pixels are divided by 255, and another size is scaled."""
    shapes = Shapes(arithmetic_bundle.write(tmp_path).folder)
    file = io.BytesIO()
    Image.new("RGB", (9, 7), (51, 51, 51)).save(file, "PNG")
    row = shapes.read_image(file.getvalue())
    assert row.shape == (1, 1, 4, 4)
    assert row == pytest.approx(0.2)


@pytest.mark.parametrize("threads", [None, 1])
def test_a_grey_image_reconstructs_as_itself(tmp_path: Path, threads: int | None) -> None:
    """Encoder and decoder are the bundle's, with default and with chosen threads."""
    networks = OnnxNetworks(arithmetic_bundle.write(tmp_path).folder, threads)
    image = np.full((2, 1, 4, 4), 0.4, dtype=np.float32)
    assert networks.decode(networks.encode(image)[0]) == pytest.approx(0.4)


def test_latents_repeat_with_a_seed_only(tmp_path: Path) -> None:
    """One seed always draws the same, and no seed something new."""
    shapes = Shapes(arithmetic_bundle.write(tmp_path).folder)
    assert np.array_equal(shapes.latents(2, 5), shapes.latents(2, 5))
    assert not np.array_equal(shapes.latents(2, None), shapes.latents(2, None))


@pytest.mark.parametrize("channels", [1, 3])
def test_one_image_is_a_png_and_several_are_an_array(channels: int) -> None:
    """Both hold the rounded grey levels."""
    pixels = np.full((2, channels, 3, 5), 0.2, dtype=np.float32)
    body, media_type = baseline.answer(pixels[:1])
    assert media_type == "image/png"
    with Image.open(io.BytesIO(body)) as opened:
        assert np.all(np.asarray(opened) == 51)
        assert opened.size == (5, 3)
    body, media_type = baseline.answer(pixels)
    assert media_type == "application/x-npy"
    images = np.load(io.BytesIO(body), allow_pickle=False)
    assert images.shape == (2, 3, 5, channels)
    assert images.dtype == np.uint8
