"""Reports on one run as a page: its settings, its course, its results and its machine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path

from training.reports.curves import draw_kl
from training.reports.page import curves, data_address, plot, render
from training.reports.run_record import read_record
from training.workdir import Workdir, write_bytes


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
    page = render(
        "run.html",
        name=record.settings.get("bundle.name", "run"),
        record=record,
        plots=curves({"training": record.log}),
        kl=plot(draw_kl(kl), "KL of each latent dimension") if kl else None,
        images={
            path.stem: data_address(path.read_bytes(), "image/png")
            for path in workdir.figures.glob("*.png")
        },
        configuration=_configuration(record.settings),
    )
    write_bytes(workdir.page, page)


def _configuration(settings: Mapping[str, object]) -> dict[str, list[tuple[str, object]]]:
    """(setting, value) by the section that holds the setting."""

    def part(item: tuple[str, object]) -> str:
        return item[0].rpartition(".")[0] or "run"

    return {
        name: [(key.rpartition(".")[2], value) for key, value in group]
        for name, group in groupby(sorted(settings.items(), key=part), part)
    }
