"""The stages of a run in order; each reads files of the workdir and writes files into it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from rich.console import Console

from training.bundle import bundle
from training.config.run import TrainingConfig
from training.evaluation import evaluate, posterior_means, reference_bounds, sample_quality
from training.export import graphs
from training.fit.fit import fit as fit
from training.reports import plots, run_report

Stage = Callable[[Path, Sequence[str]], object]

STAGES: Mapping[str, Stage] = {
    "export": graphs.export,
    "evaluate": evaluate.evaluate,
    "quality": sample_quality.quality,
    "reference": reference_bounds.reference,
    "latents": posterior_means.latents,
    "figures": plots.figures,
    "bundle": bundle.bundle,
    "report": run_report.report,
}
"""Everything after `fit`, in the order in which `run` calls it; `quality` only where
`evaluation.quality` asks for it."""


def run(config: TrainingConfig, workdir: Path, *, resume: bool = False) -> None:
    """All stages; errors as for each of them."""
    fit(config, workdir, resume=resume)
    console = Console(stderr=True)
    for name, stage in STAGES.items():
        if name == "quality" and config.evaluation.quality == "none":
            continue
        console.print(f"{name} …", highlight=False)
        stage(workdir, ())
