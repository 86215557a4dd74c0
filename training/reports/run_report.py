"""Reports on one run as a page: what it was to do, how it went, what came of it, and where."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from pathlib import Path

from training.reports.curves import PANELS, draw_curve, draw_kl, drawn
from training.reports.page import Html, element, image, page, plot, section, table
from training.reports.run_record import Record, read_record
from training.text import duration, measured
from training.workdir import Workdir, write_bytes

_IMAGES = {
    "reconstructions": "Reconstructions: inputs, each above the decoding of its posterior mean",
    "samples": "Samples: decoded draws from the prior",
    "traversals": "Traversals: the most informative latent dimensions, each from −3 to 3",
    "latent": "Latent map: posterior means of the images measured on",
}


def report(folder: Path, overrides: Sequence[str] = ()) -> None:
    """Writes `report.html` into the workdir, of what the stages have written so far.

    Raises:
        ConfigError: an override that would have changed the trained weights.
        DiskError: the page can't be written.
        StageError: `fit` has not begun, or a file is damaged.
    """
    workdir = Workdir(folder)
    workdir.read_config(overrides)
    write_bytes(workdir.page, run_page(read_record(folder)))


def run_page(record: Record) -> bytes:
    """The page of a run."""
    name = str(record.settings.get("bundle.name", "run"))
    return page(
        f"{name}: training report",
        element("h1", name),
        element("p", record.progress, css="soft"),
        _facts(record),
        _warnings(record),
        _figures(record),
        _curves(record),
        _kl(record),
        *_images(Workdir(record.folder)),
        _configuration(record.settings),
        _environment(record.run),
    )


def _facts(record: Record) -> Html:
    last, run = record.last, record.run
    bound = record.metrics.get("bound")
    facts = {
        "importance-weighted bound": bound and measured(bound.value, bound.standard_error),
        "training ELBO": "elbo" in last and measured(last["elbo"]),
        "validation ELBO": last.get("validation_elbo") and measured(last["validation_elbo"]),
        "active units": last.get("active_units"),
        "training time": "seconds" in last and duration(last["seconds"]),
        "processor time": "cpu_seconds" in last and duration(last["cpu_seconds"]),
        "images/s": last.get("images_per_second") and f"{last['images_per_second']:,.0f}",
        "training images": run.get("pictures") and f"{run['pictures']['train']:,}",
        "parameters": run.get("parameters") and f"{run['parameters']:,}",
    }
    items = [
        element("li", element("b", value), element("span", name))
        for name, value in facts.items()
        if value not in (None, False)
    ]
    return element("ul", *items, css="facts")


def _warnings(record: Record) -> Html:
    said = [
        element("div", f"step {line['step']}: {line.get('text')}", css="alarm")
        for line in record.warnings
    ]
    return section("Warnings", *(said or [element("p", "There were none.", css="soft")]))


def _figures(record: Record) -> Html:
    if not record.metrics:
        return section("Figures", _missing("not measured yet", "evaluate"))
    rows = [
        (
            name.replace("_", " "),
            element("td", measured(metric.value, metric.standard_error), css="value"),
            metric.n,
            metric.samples or "",
            _noted(metric.note, metric.seeds),
        )
        for name, metric in record.metrics.items()
    ]
    return section(
        "Figures", table(("", "value ± standard error", "pictures", "K", "how measured"), rows)
    )


def _noted(note: str | None, seeds: Mapping[str, int]) -> Html:
    parts = [note] if note else []
    parts += [f"seed of {name}: {seed}" for name, seed in seeds.items()]
    return element("td", "; ".join(parts), css="note")


def _curves(record: Record) -> Html:
    if not record.log:
        return section("Curves", element("p", "No epoch has ended yet.", css="soft"))
    logs = {"training": record.log}
    plots = [plot(draw_curve(one, logs), one.title) for one in drawn(PANELS, logs)]
    return section("Curves", element("div", *plots, css="grid"))


def _kl(record: Record) -> Html:
    if not record.kl_per_dimension:
        mixed = record.settings.get("model.prior.family") == "mixture"
        why = "A mixture prior's KL is no sum over dimensions." if mixed else "Not known yet."
        return section("KL of each dimension", element("p", why, css="soft"))
    of = f"{record.split} images" if record.metrics else f"training images in epoch {record.epochs}"
    return section(
        "KL of each dimension",
        element("p", f"Of {of}, in nats.", css="soft"),
        plot(draw_kl(record.kl_per_dimension), "KL of each latent dimension"),
    )


def _images(workdir: Workdir) -> Iterable[Html]:
    for name, text in _IMAGES.items():
        title, _, what = text.partition(": ")
        path = workdir.figures / f"{name}.png"
        if not path.exists():
            yield section(title, _missing("not drawn yet", "figures"))
            continue
        css = "plot latent" if name == "latent" else "pictures"
        yield section(
            title,
            element("p", f"{what[0].upper()}{what[1:]}.", css="soft"),
            image(path.read_bytes(), "image/png", what, css),
        )


def _missing(what: str, stage: str) -> Html:
    command = element("code", f"vaetrain {stage}")
    return element("p", f"{what.capitalize()}: run ", command, " on this workdir.", css="soft")


def _configuration(settings: Mapping[str, object]) -> Html:
    def part(item: tuple[str, object]) -> str:
        return item[0].rpartition(".")[0] or "run"

    tables = [
        element(
            "div",
            element("h3", name),
            table((), [(k.rpartition(".")[2], _value(v)) for k, v in group]),
        )
        for name, group in groupby(sorted(settings.items(), key=part), part)
    ]
    return section("Configuration", element("div", *tables, css="grid"))


def _environment(run: Mapping[str, object]) -> Html:
    shown = ("machine", "device", "threads", "precision", "git_commit", "data_id", "pictures")
    rows = [
        (key.replace("_", " "), _value(run[key]))
        for key in (*shown, "fingerprints", "tools")
        if key in run
    ]
    return section("Environment", table((), rows) if rows else element("p", "Not known yet."))


def _value(value: object) -> Html:
    if value is None:
        text = "–"
    elif isinstance(value, Mapping):
        text = ", ".join(f"{key} {part}" for key, part in value.items() if part is not None)
    else:
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return element("td", text, css="long")
