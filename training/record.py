"""What a workdir holds of a run, finished or not: whatever has been written so far."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from model.manifest import Metric
from training.curves import Log
from training.overrides import flatten
from training.workdir import Workdir

_OF_A_MACHINE = ("data.source", "data.cache")
"""Settings that hold paths, which have no place in what is shown to others."""


@dataclass(frozen=True)
class Record:
    """A run as its files tell it; what has not been written yet is empty."""

    folder: Path
    settings: Mapping[str, object]
    """By dotted key, without paths."""
    run: Mapping[str, Any]
    """`run.json`."""
    log: Log
    warnings: Sequence[Mapping[str, Any]]
    metrics: Mapping[str, Metric]
    """As `evaluate` and later stages measured them."""
    split: str
    """Of which pictures they are."""
    kl_per_dimension: Sequence[float]
    """In nats: of those pictures, or if they are not measured of the last epoch."""
    finished: bool
    """Whether training has come to its end."""

    @property
    def last(self) -> Mapping[str, Any]:
        """The last epoch's line."""
        return self.log[-1] if self.log else {}

    @property
    def epochs(self) -> int:
        """Epochs trained."""
        return int(self.last.get("epoch", 0))

    @property
    def total_epochs(self) -> int:
        """Epochs that the run has when it ends."""
        steps = self.run.get("total_steps")
        if not steps or not self.epochs:
            return max(self.epochs, int(str(self.settings.get("epochs", 0))))
        return round(int(steps) * self.epochs / int(self.last["step"]))

    @property
    def progress(self) -> str:
        """How far it has come."""
        if self.finished and self.epochs < self.total_epochs:
            return f"stopped early after epoch {self.epochs} of {self.total_epochs}"
        if self.finished:
            return f"{self.epochs} epochs"
        return f"unfinished: {self.epochs} of {self.total_epochs} epochs"


def read_record(folder: Path) -> Record:
    """Reads what is there.

    Raises:
        StageError: the folder holds no run, or a file that is damaged.
    """
    workdir = Workdir(folder)
    log = _lines(workdir.log)
    metrics, kl = _metrics(workdir)
    training_kl = log[-1].get("kl_per_dimension", ()) if log else ()
    settings = flatten(workdir.read_json(workdir.config, "fit"))
    return Record(
        folder=folder,
        settings={key: value for key, value in settings.items() if key not in _OF_A_MACHINE},
        run=_document(workdir, workdir.run, "fit"),
        log=log,
        warnings=_lines(workdir.warnings),
        metrics=metrics,
        split=str(_document(workdir, workdir.metrics, "evaluate").get("split", "test")),
        kl_per_dimension=training_kl if kl is None else kl,
        finished=workdir.weights.exists(),
    )


def _document(workdir: Workdir, path: Path, stage: str) -> Mapping[str, Any]:
    return workdir.read_json(path, stage) if path.exists() else {}


def _metrics(workdir: Workdir) -> tuple[dict[str, Metric], list[float] | None]:
    """The figures and the KL of each dimension; none where they have not been measured."""
    if not workdir.metrics.exists():
        return {}, None
    measured = workdir.read_json(workdir.metrics, "evaluate", metrics=dict)
    with workdir.reading(workdir.metrics, "evaluate"):
        metrics = {
            name: Metric.model_validate(value) for name, value in measured["metrics"].items()
        }
        kl = measured.get("kl_per_dimension")
        return metrics, kl if kl is None else [float(value) for value in kl]


def _lines(path: Path) -> list[dict[str, Any]]:
    """The whole lines: a run that is going on may be writing the last one."""
    if not path.exists():
        return []
    found = []
    for line in path.read_text("utf-8", errors="replace").splitlines():
        try:
            found.append(json.loads(line))
        except ValueError:
            continue
    return [line for line in found if isinstance(line, dict) and "step" in line]
