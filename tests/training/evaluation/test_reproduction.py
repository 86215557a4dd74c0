"""Tests of training.reproduction."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from model.bundle.manifest import Metric
from tests import arithmetic_bundle
from training.errors import StageError
from training.evaluation.reproduction import difference, main

BOUND = Metric(value=-84.0, standard_error=0.2, n=100, samples=50, seeds={"importance": 1})


def _run(folder: Path, **changes: Any) -> Path:
    folder.mkdir()
    metrics = {"bound": BOUND.model_copy(update=changes).model_dump(mode="json")}
    (folder / "metrics.json").write_text(json.dumps({"metrics": metrics}))
    return folder


def _bundle(root: Path, **metrics: Metric) -> Path:
    return arithmetic_bundle.write(root, metrics=metrics).folder


@pytest.mark.parametrize(("value", "code"), [(-84.29, 0), (-83.71, 0), (-84.31, 1), (-83.0, 1)])
def test_verdict(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    value: float,
    code: int,
) -> None:
    """A run is a reproduction when its bound is within 0.3 nats, above or below."""
    run, bundle = _run(tmp_path / "run", value=value), _bundle(tmp_path, bound=BOUND)
    monkeypatch.setattr("sys.argv", ["reproduction", str(run), str(bundle)])
    assert main() == code
    assert f"{value + 84:+.3f} nats" in capsys.readouterr().out


@pytest.mark.parametrize("changes", [{"samples": 5}, {"n": 10}, {"note": "other bits"}])
def test_only_like_is_compared_with_like(tmp_path: Path, changes: dict[str, Any]) -> None:
    """Other images, bits or numbers of samples are refused, not subtracted."""
    run, bundle = _run(tmp_path / "run", **changes), _bundle(tmp_path, bound=BOUND)
    with pytest.raises(StageError, match="not comparable"):
        difference(run, bundle)


def test_a_record_tells_figures_by_preset(tmp_path: Path) -> None:
    """A JSON file has the figures of several models; one that it has not is named."""
    record = tmp_path / "models.json"
    record.write_text(json.dumps({"tiny": {"metrics": {"bound": BOUND.model_dump(mode="json")}}}))
    run = _run(tmp_path / "run", value=-84.1)

    assert difference(run, record, "tiny") == pytest.approx(-0.1)
    with pytest.raises(StageError, match="no bound of the preset 'large'"):
        difference(run, record, "large")


def test_bundle_without_the_figure(tmp_path: Path) -> None:
    """A bundle that has no bound is named."""
    with pytest.raises(StageError, match="has no bound"):
        difference(_run(tmp_path / "run"), _bundle(tmp_path))


def test_run_without_figures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A run that was not evaluated ends with code 2 and says which stage is missing."""
    run = tmp_path / "run"
    run.mkdir()
    monkeypatch.setattr("sys.argv", ["reproduction", str(run), str(tmp_path)])
    assert main() == 2
    assert "evaluate" in capsys.readouterr().err
