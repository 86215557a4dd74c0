"""The table in docs/models.md is what the manifests and the record say."""

from __future__ import annotations

from pathlib import Path

from benchmarks.model_quality.models import (
    DOCUMENT,
    PRESETS,
    PUBLISHED,
    drawn,
    entry_of,
    read_record,
    table,
)
from model.bundle.bundle import read_manifest
from model.bundle.manifest import Metric
from tests import arithmetic_bundle

SHIPPED = Path(__file__).parents[3] / "model" / "bundles"


def test_the_document_has_the_table_of_the_record() -> None:
    """Drawn anew, the document is the same."""
    text = DOCUMENT.read_text(encoding="utf-8")

    assert "\n<!-- table -->\n" in text
    assert "\n<!-- samples -->\n" in text
    assert drawn(text, read_record()) == text


def test_the_record_has_the_figures_of_the_bundles_that_ship() -> None:
    """What a manifest says, the record says: the highest version of each model that ships.

    A bundle from before figures of samples may have these in the record alone."""
    record = read_record()
    for folder in SHIPPED.iterdir():
        newest = max(folder.iterdir(), key=lambda version: int(version.name))
        named = f"{folder.name}/{newest.name}"
        kept = next(entry for entry in record.values() if entry.bundle == named)
        expected = entry_of(read_manifest(newest), kept.machine)
        assert kept.model_copy(update={"metrics": {}}) == expected.model_copy(
            update={"metrics": {}}
        )
        assert {**kept.metrics, **expected.metrics} == kept.metrics


def test_a_row_has_figures_with_errors_and_what_was_not_measured_says_so() -> None:
    """Bound and ELBO with their standard errors, images, K, epochs and minutes."""
    metrics = {
        "bound": Metric(value=-83.684, standard_error=0.2128, n=10000, samples=500),
        "elbo": Metric(value=-87.32, standard_error=0.2255, n=10000, samples=500),
        "kl": Metric(value=26.208, n=10000),
        "active_units": Metric(value=22, n=10000),
        "sample_frechet_distance": Metric(value=63.9, n=10000),
        "sample_frechet_ratio": Metric(value=0.8357, n=10000),
    }
    tuning = {"epochs": 3, "samples": 8, "learning_rate": 1e-3}
    objective = {"name": "elbo", "epochs": 40, "seconds": 900.0, "tuning": tuning}
    manifest = arithmetic_bundle.manifest("mnist", metrics=metrics, objective=objective)

    lines = table({"mnist": entry_of(manifest, "two cores")}).splitlines()

    assert (
        "| **`mnist`** (elbo, tuned by importance, K = 8) | −83.68 ± 0.21 | −87.32 ± 0.23 | 26.21 "
        "| 22 | 63.9, 0.84 × blurred | 10,000, 500 | 43 | 15 | two cores |"
    ) in lines
    assert sum("not measured yet" in line for line in lines) == len(PRESETS) - 1
    assert len(lines) == 2 + len(PRESETS) + len(PUBLISHED)
