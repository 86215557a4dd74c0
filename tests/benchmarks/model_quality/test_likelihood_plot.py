"""Both estimates of log p(x), on a model whose log p(x) is known."""

from __future__ import annotations

import io
import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks.model_quality import likelihood_plot
from benchmarks.model_quality.likelihood_plot import Curves, draw, measure, table
from tests import arithmetic_bundle
from tests.arithmetic_bundle import SIZE

# log p(x) of a black image, x ~ N(0, I + 11ᵀ).
EXACT = -8 * math.log(2 * math.pi) - 0.5 * math.log(17)


def black() -> bytes:
    file = io.BytesIO()
    Image.new("L", (SIZE, SIZE)).save(file, "PNG")
    return file.getvalue()


def test_both_estimates_come_to_the_known_value(tmp_path: Path) -> None:
    """On a model of two dimensions either is right with enough samples, and running."""
    bundle = arithmetic_bundle.write(tmp_path)

    curves = measure(bundle, black(), samples=2500, runs=3)

    assert curves.naive.shape == curves.weighted.shape == (3, 2500)
    assert curves.naive[:, -1] == pytest.approx([EXACT] * 3, abs=0.1)
    assert curves.weighted[:, -1] == pytest.approx([EXACT] * 3, abs=0.1)
    assert curves.elbo == pytest.approx(-8 * math.log(2 * math.pi) - 8, abs=0.3)


def test_with_the_true_posterior_one_sample_is_enough(tmp_path: Path) -> None:
    """Each weight is p(x), so the weighted curve is flat."""
    curves = measure(arithmetic_bundle.write_exact(tmp_path), black(), samples=20, runs=2)

    np.testing.assert_allclose(curves.weighted, EXACT, atol=1e-4)


def test_the_table_has_powers_of_ten_and_the_services_default() -> None:
    """Means and deviations over the runs, at each number of samples."""
    values = np.stack([np.full(100, -4.0), np.full(100, -2.0)])

    lines = table(Curves(values, values + 1, -9.5)).splitlines()

    assert lines[2:6] == [f"| {k} | -3.00 ± 1.41 | -2.00 ± 1.41 |" for k in (1, 10, 64, 100)]
    assert lines[-1] == "ELBO: -9.50"


def test_draws_every_run() -> None:
    """A line for each run of each estimate, and two that mark the ELBO and the default K."""
    values = np.stack([np.linspace(-9, -4, 50), np.linspace(-8, -4, 50)])

    [axes] = draw(Curves(values, values + 1, -5)).axes

    assert len(axes.lines) == 2 + 2 + 2


def test_what_is_no_image_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file that can't be read ends with status 1 and says why."""
    path = tmp_path / "a.png"
    path.write_bytes(b"no image")

    assert likelihood_plot.main([str(path)]) == 1
    assert capsys.readouterr().err.startswith("benchmarks: ")
