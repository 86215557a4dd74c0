"""Images side by side, and that as a file."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.training import runs
from training.reports.image_grid import enlarge, tile, write_image


@pytest.mark.parametrize(("count", "columns", "size"), [(6, 3, (14, 23)), (7, 3, (20, 23))])
def test_tiles(count: int, columns: int, size: tuple[int, int]) -> None:
    """Images stand row by row with gaps between; a last row may be short."""
    images = np.arange(count, dtype=np.uint8).repeat(20).reshape(count, 4, 5, 1)

    grid = tile(images, columns)

    assert grid.shape == (*size, 1)
    assert grid[2, 2, 0] == 0
    assert grid[2, 9, 0] == 1
    assert grid[8, 2, 0] == 3
    assert grid[0, 0, 0] == 96


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (3, "RGB")])
def test_a_image_is_written_as_it_is(channels: int, mode: str, tmp_path: Path) -> None:
    """Grey and colour images come back from the file, enlarged by a whole factor."""
    image = np.random.default_rng(0).integers(0, 256, (40, 300, channels), np.uint8)

    write_image(tmp_path / "grid.png", enlarge(image))

    with Image.open(tmp_path / "grid.png") as written:
        assert (written.size, written.mode) == ((900, 120), mode)
        shown = np.asarray(written).reshape(120, 900, channels)
    np.testing.assert_array_equal(shown[1::3, 1::3], image)


def test_checking_draws_no_plots() -> None:
    """`vaetrain check` does without what draws curves."""
    code = (
        "import sys, training.check.check, training.cli.check_report; "
        "sys.exit('training.reports.curves' in sys.modules or 'matplotlib' in sys.modules)"
    )

    assert subprocess.run([sys.executable, "-c", code], cwd=runs.ROOT, check=False).returncode == 0
