"""`/score` on digits and on what is foreign to them, in a small run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.exported import SHIPPED
from benchmarks.model_quality import outliers
from benchmarks.model_quality.foreign import USUAL, blank, sets
from benchmarks.model_quality.outliers import auroc
from model.bundle.bundle import REQUIRED_FILES, Bundle, open_bundle, write_bundle
from model.bundle.manifest import InputSpec
from model.bundle.reference import REFERENCE, write_reference
from tests.training import runs
from training.errors import DataError

SPEC = InputSpec(channels=1, height=28, width=28, order="L")


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    """Coloured gradients, in a split of their own."""
    runs.write_images(tmp_path / "train", 2, size=(32, 32))
    runs.write_images(tmp_path / "test", 6, size=(32, 32))
    return tmp_path


def test_no_image_is_in_two_sets(photographs: Path) -> None:
    """Each set has as many files as asked for, all different."""
    found = sets(runs.MNIST, photographs, None, SPEC, 5)

    files = [file for part in found.values() for file in part]
    assert {len(part) for part in found.values()} == {5}
    assert len(set(files)) == len(files) == 5 * 6
    assert blank(SPEC) not in files


def test_digits_of_the_reference_are_left_out(photographs: Path) -> None:
    """What is compared with is not what is compared."""
    whole = sets(runs.MNIST, photographs, None, SPEC, 5)
    reference = open_bundle(SHIPPED).manifest.reference
    assert reference is not None
    half = reference.model_copy(update={"n": 50})
    rest = sets(runs.MNIST, photographs, half, SPEC, 5)

    assert whole[USUAL][1] == rest[USUAL][0]
    assert whole[USUAL][0] not in rest[USUAL]


def test_too_few_images_are_refused(photographs: Path) -> None:
    """A folder with less than what is asked for is named."""
    with pytest.raises(DataError, match="100 test images are too few"):
        sets(runs.MNIST, photographs, None, SPEC, 30)
    with pytest.raises(DataError, match="6 test images are fewer than 7"):
        sets(runs.MNIST, photographs, None, SPEC, 7)


@pytest.mark.parametrize("with_reference", [True, False])
def test_prints_a_table(
    photographs: Path, tmp_path: Path, with_reference: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every figure that the model answers has a row, with an area and its error for each set."""
    bundle = _with_small_reference(tmp_path / "bundles", with_reference)
    arguments = ["--digits", str(runs.MNIST), "--others", str(photographs), "--count", "3"]

    assert outliers.main([*arguments, "--bundle", str(bundle.folder)]) == 0

    shown = capsys.readouterr().out
    figures = [name for name in outliers.METRICS if with_reference or name != "percentile"]
    for figure in outliers.METRICS:
        assert (f"| `{figure}` |" in shown) == (figure in figures)
    assert shown.count(" ± ") == 5 * len(figures)


def _with_small_reference(root: Path, with_reference: bool) -> Bundle:
    """The shipped model; its own reference would leave none of the few digits here."""
    shipped = open_bundle(SHIPPED)
    assert shipped.reference is not None
    assert shipped.manifest.reference is not None
    files = {name: shipped.read(name) for name in REQUIRED_FILES}
    manifest = shipped.manifest.model_copy(update={"reference": None, "posterior": None})
    if with_reference:
        bounds = {how: values[::100] for how, values in shipped.reference.bounds.items()}
        files[REFERENCE] = write_reference(bounds)
        spec = shipped.manifest.reference.model_copy(update={"n": 50})
        manifest = manifest.model_copy(update={"reference": spec})
    return write_bundle(root, manifest, files)


def test_auroc_by_hand() -> None:
    """Of nine pairs seven are in order and one is tied."""
    area = auroc(np.array([1.0, 2.0, 4.0]), np.array([2.0, 3.0, 5.0]))

    # Above 2: {1} and half {2}; above 3: {1, 2}; above 5: all three.
    assert area.value == pytest.approx((1.5 + 2 + 3) / 9)
    # Placements of the foreign ½, ⅔, 1 and of the usual 1, 5/6, ⅓, each over 3.
    expected = (np.var([1 / 2, 2 / 3, 1], ddof=1) + np.var([1, 5 / 6, 1 / 3], ddof=1)) / 3
    assert area.standard_error == pytest.approx(expected**0.5)


def test_auroc_at_its_ends_and_its_middle() -> None:
    """Separate sets give 1 or 0 without error, and equal ones 0.5."""
    low, high = np.array([1.0, 2.0]), np.array([3.0, 4.0])

    assert (auroc(low, high).value, auroc(low, high).standard_error) == (1, 0)
    assert auroc(high, low).value == 0
    assert auroc(low, low).value == 0.5


def test_the_error_of_auroc_is_that_of_repeated_draws() -> None:
    """Over 400 draws of two normal samples the area varies by the stated error, to 10 %, around
    Φ(1/√2)."""
    rng = np.random.default_rng(0)
    areas = [auroc(rng.normal(size=80), rng.normal(1, 1, 120)) for _ in range(400)]
    values = np.array([area.value for area in areas])

    assert values.mean() == pytest.approx(0.7602, abs=0.005)
    stated = np.mean([area.standard_error for area in areas])
    assert stated == pytest.approx(values.std(ddof=1), rel=0.1)


def test_too_few_scores_are_refused() -> None:
    """A single score on a side raises an error."""
    with pytest.raises(ValueError, match="two scores of each, got 1 usual"):
        auroc(np.zeros(1), np.zeros(5))
