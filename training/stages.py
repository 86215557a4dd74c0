"""The stages of a run in order; each reads files of the workdir and writes files into it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from rich.console import Console

from training import (
    bundling,
    evaluate,
    export,
    figures,
    latents,
    quality,
    reference,
    run_page,
    trainer,
)
from training.config import TrainingConfig

Stage = Callable[[Path, Sequence[str]], object]

STAGES: Mapping[str, Stage] = {
    "export": export.export,
    "evaluate": evaluate.evaluate,
    "quality": quality.quality,
    "reference": reference.reference,
    "latents": latents.latents,
    "figures": figures.figures,
    "bundle": bundling.bundle,
    "report": run_page.report,
}
"""Everything after `fit`, in the order in which `run` calls it; `quality` only where
`evaluation.quality` asks for it."""


def fit(config: TrainingConfig, workdir: Path, *, resume: bool = False) -> None:
    """Trains; see `trainer.fit`."""
    trainer.fit(config, workdir, resume=resume)


def run(config: TrainingConfig, workdir: Path, *, resume: bool = False) -> None:
    """All stages; errors as for each of them."""
    fit(config, workdir, resume=resume)
    console = Console(stderr=True)
    for name, stage in STAGES.items():
        if name == "quality" and config.evaluation.quality == "none":
            continue
        console.print(f"{name} …", highlight=False)
        stage(workdir, ())
