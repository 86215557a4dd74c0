"""Reports on one run as a page: its settings, its course, its results and its machine."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path

from training.reports.curves import draw_kl
from training.reports.page import curves, data_address, plot, render
from training.reports.run_record import Record, read_record
from training.text import duration, measured
from training.workdir import Workdir, write_bytes

_IMAGES = {
    "reconstructions": (
        "Reconstructions",
        "Inputs, each above the decoding of its posterior mean",
    ),
    "samples": ("Samples", "Decoded draws from the prior"),
    "traversals": ("Traversals", "The most informative latent dimensions, each from −3 to 3"),
    "latent": ("Latent map", "Posterior means of the images measured on"),
}
_ENVIRONMENT = (
    *("machine", "device", "threads", "precision", "git_commit", "data_id", "pictures"),
    *("fingerprints", "tools"),
)
"""Members of `run.json` that the page shows."""


def report(folder: Path, overrides: Sequence[str] = ()) -> None:
    """Writes `report.html` into the workdir, of what the stages have written so far.

    Raises:
        ConfigError: an override that would have changed the trained weights.
        DiskError: the page can't be written.
        StageError: `fit` has not begun, or a file is damaged.
    """
    workdir = Workdir(folder)
    workdir.read_config(overrides)
    record = read_record(folder)
    kl = record.kl_per_dimension
    training = f"training images in epoch {record.epochs}"
    page = render(
        "run.html",
        name=record.settings.get("bundle.name", "run"),
        record=record,
        facts=_facts(record),
        plots=curves({"training": record.log}),
        kl=plot(draw_kl(kl), "KL of each latent dimension") if kl else None,
        kl_of=f"{record.split} images" if record.metrics else training,
        images=list(_images(workdir)),
        configuration=_configuration(record.settings),
        environment=[
            (key.replace("_", " "), record.run[key]) for key in _ENVIRONMENT if key in record.run
        ],
    )
    write_bytes(workdir.page, page)


def _facts(record: Record) -> dict[str, object]:
    """What the page begins with; a fact that is not known is None."""
    last, run = record.last, record.run
    bound = record.metrics.get("bound")

    def shown(key: str, form: Callable[[float], str]) -> str | None:
        return None if last.get(key) is None else form(last[key])

    return {
        "importance-weighted bound": bound and measured(bound.value, bound.standard_error),
        "training ELBO": shown("elbo", measured),
        "validation ELBO": shown("validation_elbo", measured),
        "active units": shown("active_units", str),
        "training time": shown("seconds", duration),
        "processor time": shown("cpu_seconds", duration),
        "images/s": shown("images_per_second", "{:,.0f}".format),
        "training images": run.get("pictures") and f"{run['pictures']['train']:,}",
        "parameters": run.get("parameters") and f"{run['parameters']:,}",
    }


def _images(workdir: Workdir) -> Iterator[tuple[str, str, str | None]]:
    """(title, description, address); the address is None for an image that was not drawn yet."""
    for name, (title, what) in _IMAGES.items():
        path = workdir.figures / f"{name}.png"
        yield title, what, data_address(path.read_bytes(), "image/png") if path.exists() else None


def _configuration(settings: Mapping[str, object]) -> dict[str, list[tuple[str, object]]]:
    """(setting, value) by the section that holds the setting."""

    def part(item: tuple[str, object]) -> str:
        return item[0].rpartition(".")[0] or "run"

    return {
        name: [(key.rpartition(".")[2], value) for key, value in group]
        for name, group in groupby(sorted(settings.items(), key=part), part)
    }
