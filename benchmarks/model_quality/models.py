"""`python -m benchmarks.model_quality.models [BUNDLE …] --machine "…"`: writes the tables of
docs/models.md.

The tables are between `<!-- table -->` or `<!-- samples -->` and `<!-- end -->`. They come from the
published results below and from `docs/results/models.json`, to which the command first adds the
metrics of the given bundles. A test compares that file with the bundles that ship.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, Field, TypeAdapter

from benchmarks.report.tables import Table
from model.bundle.bundle import BundleError, read_manifest
from model.bundle.manifest import Manifest, Metric
from model.config import Frozen

DOCS = Path(__file__).parents[2] / "docs"
RECORD = DOCS / "results" / "models.json"
DOCUMENT = DOCS / "models.md"

PRESETS = ("mnist-fast", "mnist", "mnist-best", "cifar10")
"""In the order of the table, which says if one was not measured."""

METRICS = (
    *("bound", "elbo", "kl", "active_units", "bits_per_dimension"),
    *("sample_frechet_distance", "sample_frechet_floor", "sample_frechet_blurred"),
    *("sample_frechet_ratio", "sample_precision", "sample_recall"),
    *("sample_density", "sample_coverage"),
)
"""The metrics of a manifest that are recorded."""

_SECTION = re.compile(r"(<!-- (table|samples) -->\n).*?(<!-- end -->)", re.DOTALL)
_SHARES = ("precision", "recall", "density", "coverage")
_NO_SHARES = ("",) * len(_SHARES)
_MINUS = "−"


class Entry(Frozen):
    """The metrics of one model."""

    bundle: str
    """`name/version`."""
    objective: str
    epochs: int
    """Including those of tuning."""
    minutes: Annotated[float, Field(ge=0)]
    """Wall time of training alone."""
    cpu_minutes: Annotated[float, Field(ge=0)] | None = None
    """CPU time of training alone; None if it was not measured."""
    machine: str
    """A description of the machine it was trained on."""
    metrics: Mapping[str, Metric]


PUBLISHED = (
    ("VAE, MLP 200-200, K = 1", "−86.76", "", "3,280", "Burda et al. 2016"),
    ("IWAE, the same, K = 5", "−85.54", "", "3,280", "Burda et al. 2016"),
    ("IWAE, the same, K = 50", "−84.78", "", "3,280", "Burda et al. 2016"),
    ("VAE, MLP 300-300", "−84.45", "", "", "baseline of Norouzi et al. 2020 (Exemplar VAE)"),
    (
        *("ResNet, diagonal posterior", "−81.08 ± 0.08", "−84.08", ""),
        "baseline of Kingma et al. 2016 (IAF), 5 runs",
    ),
)
"""(model, bound, ELBO, epochs, source) as published, on dynamically binarised MNIST, with one
Gaussian layer and the prior N(0, I). Test binarisations and numbers of importance samples differ
between papers."""


class _Tuning(BaseModel):
    epochs: int = 0
    samples: int = 0


class _Objective(BaseModel):
    """The members of a manifest's `objective` that the tables show."""

    name: str
    epochs: int
    seconds: float
    cpu_seconds: float | None = None
    tuning: _Tuning | None = None


def entry_of(manifest: Manifest, machine: str) -> Entry:
    """The entry of a bundle, from its manifest."""
    objective = _Objective.model_validate(manifest.objective)
    tuning, cpu = objective.tuning, objective.cpu_seconds
    tuned = f", tuned by importance, K = {tuning.samples}" if tuning else ""
    return Entry(
        bundle=f"{manifest.name}/{manifest.version}",
        objective=f"{objective.name}{tuned}",
        epochs=objective.epochs + (tuning.epochs if tuning else 0),
        minutes=round(int(objective.seconds) / 60, 1),
        cpu_minutes=None if cpu is None else round(int(cpu) / 60, 1),
        machine=machine,
        metrics={name: manifest.metrics[name] for name in METRICS if name in manifest.metrics},
    )


def table(entries: Mapping[str, Entry]) -> str:
    """Our models by preset, then the published ones, as Markdown."""
    rows = [_row(preset, entries.get(preset)) for preset in PRESETS]
    rows += [
        (model, bound, elbo, "", "", "", "", epochs, "", source)
        for model, bound, elbo, epochs, source in PUBLISHED
    ]
    head = ("model", "bound", "ELBO", "KL", "active", "samples", "n, K", "epochs")
    return _markdown((*head, "minutes (CPU)", "on"), rows)


def samples(entries: Mapping[str, Entry]) -> str:
    """The distances of samples, real images and blurred images, as Markdown."""
    rows: list[tuple[str, ...]] = []
    for preset in PRESETS:
        metrics = entries[preset].metrics if preset in entries else {}
        if "sample_frechet_ratio" not in metrics:
            continue
        blurred = metrics["sample_frechet_blurred"].value
        if not rows:
            floor = metrics["sample_frechet_floor"].value
            rows.append((*_distance("real test images, the floor", floor, blurred), *_NO_SHARES))
            rows.append((*_distance("test images, blurred", blurred, blurred), *_NO_SHARES))
        distance = metrics["sample_frechet_distance"].value
        shares = [f"{metrics[f'sample_{name}'].value:.2f}" for name in _SHARES]
        name = f"samples of `{entries[preset].bundle}`"
        rows.append((*_distance(name, distance, blurred), *shares))
    return _markdown(("images", "distance", "× blurred", *_SHARES), rows)


def _distance(name: str, distance: float, blurred: float) -> tuple[str, ...]:
    return name, f"{distance:.1f}", f"{distance / blurred:.2f}"


def _markdown(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    named = [dict(zip(head, row, strict=True)) for row in rows]
    return Table("", named, texts=len(head)).markdown()


def drawn(text: str, entries: Mapping[str, Entry]) -> str:
    """The document with its tables replaced."""
    tables = {"table": table, "samples": samples}
    return _SECTION.sub(
        lambda match: f"{match[1]}\n{tables[match[2]](entries)}\n\n{match[3]}", text
    )


def read_record(path: Path = RECORD) -> dict[str, Entry]:
    """Reads the entries by preset."""
    record: TypeAdapter[dict[str, Entry]] = TypeAdapter(dict[str, Entry])
    return record.validate_json(path.read_bytes())


def _row(preset: str, entry: Entry | None) -> tuple[str, ...]:
    if entry is None:
        return (f"**`{preset}`**", "not measured yet", *[""] * 8)
    metrics = entry.metrics
    bound = metrics["bound"]
    bits = metrics.get("bits_per_dimension")
    shown = _nats(bound)
    if preset == "cifar10" and bits:
        shown += f" ({bits.value:.3f} bits/dim)"
    return (
        f"**`{preset}`** ({entry.objective})",
        shown,
        _nats(metrics["elbo"]),
        f"{metrics['kl'].value:.2f}",
        f"{metrics['active_units'].value:.0f}",
        _samples(metrics),
        f"{bound.n:,}, {bound.samples}",
        str(entry.epochs),
        f"{entry.minutes:.0f}" + (f" ({entry.cpu_minutes:.0f})" if entry.cpu_minutes else ""),
        entry.machine,
    )


def _nats(metric: Metric) -> str:
    error = f" ± {metric.standard_error:.2f}" if metric.standard_error is not None else ""
    return f"{metric.value:.2f}{error}".replace("-", _MINUS)


def _samples(metrics: Mapping[str, Metric]) -> str:
    if "sample_frechet_ratio" not in metrics:
        return ""
    distance, ratio = (metrics[f"sample_frechet_{name}"].value for name in ("distance", "ratio"))
    return f"{distance:.1f}, {ratio:.2f} × blurred"


def main(arguments: Sequence[str] | None = None) -> int:
    """Adds the bundles to the record and writes the tables; returns 2 for an unreadable bundle."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundles", nargs="*", type=Path, help="folders ROOT/NAME/VERSION")
    parser.add_argument(
        "--machine", default="", help="a description of the machine they were trained on"
    )
    parser.add_argument("--preset", help="the preset of a single bundle (its name)")
    options = parser.parse_args(arguments)
    entries = read_record()
    for folder in options.bundles:
        try:
            manifest = read_manifest(folder)
        except BundleError as error:
            print(error, file=sys.stderr)
            return 2
        preset = options.preset or manifest.name
        entries[preset] = entry_of(manifest, options.machine)
    document = {name: entry.model_dump(mode="json") for name, entry in entries.items()}
    RECORD.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    text = DOCUMENT.read_text(encoding="utf-8")
    DOCUMENT.write_text(drawn(text, entries), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
