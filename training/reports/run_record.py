"""Reads a run from its workdir, finished or not: everything written so far."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from model.bundle.manifest import Metric
from training.config.overrides import flatten
from training.reports.curves import Log
from training.workdir import Workdir, read_lines

_OF_A_MACHINE = ("data.source", "data.cache")
"""Settings that contain paths, which reports leave out."""


@dataclass(frozen=True)
class Record:
    """A run as its files describe it; fields of missing files are empty."""

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
    """Of which images they are."""
    kl_per_dimension: Sequence[float]
    """In nats: of those images, or of the last epoch if they are not measured."""
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
    """Reads the files that exist.

    Raises:
        StageError: the folder has no run, or a file is damaged.
    """
    workdir = Workdir(folder)
    log = _of_steps(workdir.log)
    measured: dict[str, Any] = {}
    if workdir.metrics.exists():
        measured = workdir.read_json(workdir.metrics, "evaluate", metrics=dict)
        with workdir.reading(workdir.metrics, "evaluate"):
            measured["metrics"] = TypeAdapter(dict[str, Metric]).validate_python(
                measured["metrics"]
            )
    kl = measured.get("kl_per_dimension")
    if kl is None:
        kl = log[-1].get("kl_per_dimension", ()) if log else ()
    settings = flatten(workdir.read_json(workdir.config, "fit"))
    return Record(
        folder=folder,
        settings={key: value for key, value in settings.items() if key not in _OF_A_MACHINE},
        run=workdir.read_json(workdir.run, "fit") if workdir.run.exists() else {},
        log=log,
        warnings=_of_steps(workdir.warnings),
        metrics=measured.get("metrics", {}),
        # Before there was a choice, all metrics were of test images.
        split=str(measured.get("split", "test")),
        kl_per_dimension=kl,
        finished=workdir.weights.exists(),
    )


def _of_steps(path: Path) -> list[dict[str, Any]]:
    return [line for line in read_lines(path) if "step" in line]
