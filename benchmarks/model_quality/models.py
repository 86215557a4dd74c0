"""`python -m benchmarks.model_quality.models [BUNDLE …] --machine "…"`: the tables of models in
docs/models.md.

What stands there between `<!-- table -->` or `<!-- samples -->` and `<!-- end -->` comes from the
published figures below and from `docs/results/models.json`. Bundles that are named have the figures
of their manifests added to that first. A test compares it with the bundles that ship.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

from pydantic import Field, TypeAdapter

from model.bundle.bundle import BundleError, read_manifest
from model.bundle.manifest import Manifest, Metric
from model.config import Frozen

DOCS = Path(__file__).parents[2] / "docs"
RECORD = DOCS / "results" / "models.json"
DOCUMENT = DOCS / "models.md"

PRESETS = ("mnist-fast", "mnist", "mnist-best", "cifar10")
"""In the order of the table; those that were not measured have a row that says so."""

FIGURES = (
    *("bound", "elbo", "kl", "active_units", "bits_per_dimension"),
    *("sample_frechet_distance", "sample_frechet_floor", "sample_frechet_blurred"),
    *("sample_frechet_ratio", "sample_precision", "sample_recall"),
    *("sample_density", "sample_coverage"),
)
"""Those of a manifest's figures that are kept."""

_SECTION = re.compile(r"(<!-- (table|samples) -->\n).*?(<!-- end -->)", re.DOTALL)
_SHARES = ("precision", "recall", "density", "coverage")
_MINUS = "−"


class Entry(Frozen):
    """The figures of one model."""

    bundle: str
    """`name/version`."""
    objective: str
    epochs: int
    """Those of tuning included."""
    minutes: Annotated[float, Field(ge=0)]
    """Of training alone, by the clock."""
    cpu_minutes: Annotated[float, Field(ge=0)] | None = None
    """Of training alone, processor time; None where it was not measured."""
    machine: str
    """What it was trained on, for people."""
    metrics: Mapping[str, Metric]


class Published(Frozen):
    """A published figure on dynamically binarised MNIST, one Gaussian layer, prior N(0, I)."""

    model: str
    bound: str
    elbo: str
    epochs: str
    source: str


PUBLISHED = (
    Published(
        model="VAE, MLP 200-200, K = 1",
        bound="−86.76",
        elbo="",
        epochs="3,280",
        source="Burda et al. 2016",
    ),
    Published(
        model="IWAE, the same, K = 5",
        bound="−85.54",
        elbo="",
        epochs="3,280",
        source="Burda et al. 2016",
    ),
    Published(
        model="IWAE, the same, K = 50",
        bound="−84.78",
        elbo="",
        epochs="3,280",
        source="Burda et al. 2016",
    ),
    Published(
        model="VAE, MLP 300-300",
        bound="−84.45",
        elbo="",
        epochs="",
        source="baseline of Norouzi et al. 2020 (Exemplar VAE)",
    ),
    Published(
        model="ResNet, diagonal posterior",
        bound="−81.08 ± 0.08",
        elbo="−84.08",
        epochs="",
        source="baseline of Kingma et al. 2016 (IAF), 5 runs",
    ),
)
"""Test binarisations and numbers of importance samples differ between papers."""


def entry_of(manifest: Manifest, machine: str) -> Entry:
    """The figures of a bundle, as its manifest has them."""
    objective = manifest.objective
    return Entry(
        bundle=f"{manifest.name}/{manifest.version}",
        objective=_trained_with(objective),
        epochs=_number(objective, "epochs") + _tuning(objective).get("epochs", 0),
        minutes=round(_number(objective, "seconds") / 60, 1),
        cpu_minutes=(
            round(_number(objective, "cpu_seconds") / 60, 1) if "cpu_seconds" in objective else None
        ),
        machine=machine,
        metrics={name: manifest.metrics[name] for name in FIGURES if name in manifest.metrics},
    )


def table(entries: Mapping[str, Entry]) -> str:
    """Ours by preset, then the published ones, as Markdown."""
    head = (
        "model",
        "bound",
        "ELBO",
        "KL",
        "active",
        "samples",
        "n, K",
        "epochs",
        "minutes (CPU)",
        "on",
    )
    ours = [_row(preset, entries.get(preset)) for preset in PRESETS]
    theirs = [
        (one.model, one.bound, one.elbo, "", "", "", "", one.epochs, "", one.source)
        for one in PUBLISHED
    ]
    return _markdown(head, [*ours, *theirs])


def samples(entries: Mapping[str, Entry]) -> str:
    """The distances of samples between those of real and of blurred images, as Markdown."""
    head = ("images", "distance", "× blurred", *_SHARES)
    rows: list[tuple[str, ...]] = []
    for preset in PRESETS:
        metrics = entries[preset].metrics if preset in entries else {}
        if "sample_frechet_ratio" not in metrics:
            continue
        blurred = metrics["sample_frechet_blurred"].value
        if not rows:
            floor = metrics["sample_frechet_floor"].value
            rows += [_anchor("real test images, the floor", floor, blurred)]
            rows += [_anchor("test images, blurred", blurred, blurred)]
        distance = metrics["sample_frechet_distance"].value
        shares = [f"{metrics[f'sample_{name}'].value:.2f}" for name in _SHARES]
        rows.append(
            (*_anchor(f"samples of `{entries[preset].bundle}`", distance, blurred)[:3], *shares)
        )
    return _markdown(head, rows)


def _anchor(name: str, distance: float, blurred: float) -> tuple[str, ...]:
    return (name, f"{distance:.1f}", f"{distance / blurred:.2f}", *[""] * len(_SHARES))


def _markdown(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    ruler = ("---",) * len(head)
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, ruler, *rows))


def drawn(text: str, entries: Mapping[str, Entry]) -> str:
    """The document with its tables drawn anew."""
    tables = {"table": table, "samples": samples}
    return _SECTION.sub(
        lambda match: f"{match[1]}\n{tables[match[2]](entries)}\n\n{match[3]}", text
    )


def read_record(path: Path = RECORD) -> dict[str, Entry]:
    """By preset."""
    record: TypeAdapter[dict[str, Entry]] = TypeAdapter(dict[str, Entry])
    return record.validate_json(path.read_bytes())


def _row(preset: str, entry: Entry | None) -> tuple[str, ...]:
    if entry is None:
        return (f"**`{preset}`**", "not measured yet", *[""] * 8)
    metrics = entry.metrics
    bound = metrics["bound"]
    bits = metrics.get("bits_per_dimension")
    figure = _nats(bound)
    if preset == "cifar10" and bits:
        figure += f" ({bits.value:.3f} bits/dim)"
    return (
        f"**`{preset}`** ({entry.objective})",
        figure,
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


def _trained_with(objective: Mapping[str, object]) -> str:
    """The objective in words, with that of the last epochs where it was another."""
    tuning = _tuning(objective)
    tuned = f", tuned by importance, K = {tuning['samples']}" if tuning else ""
    return f"{objective['name']}{tuned}"


def _tuning(objective: Mapping[str, object]) -> Mapping[str, int]:
    found = objective.get("tuning")
    return found if isinstance(found, dict) else {}


def _number(members: Mapping[str, object], name: str) -> int:
    value = members[name]
    if not isinstance(value, int | float):
        msg = f"objective.{name} is {value!r}, it should be a number"
        raise TypeError(msg)
    return int(value)


def main(arguments: Sequence[str] | None = None) -> int:
    """Adds what is named to the record, and draws the table; 2 for a bundle that can't be read."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundles", nargs="*", type=Path, help="folders ROOT/NAME/VERSION")
    parser.add_argument("--machine", default="", help="what they were trained on, for people")
    parser.add_argument("--preset", help="of the one bundle, if it is not the bundle's name")
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
