"""docs/performance-tables.md says what its result says."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from matplotlib.patches import Rectangle

from benchmarks.load import soak
from benchmarks.load.soak import Slice, Soak
from benchmarks.measure.comparison import Unanswered
from benchmarks.measure.machine import Machine
from benchmarks.measure.statistics import Statistics
from benchmarks.report import document, plots, result
from benchmarks.report.document import DOCS, Sources
from benchmarks.report.plots import Bar, Panel
from benchmarks.report.result import ResultError
from benchmarks.servers.ours import OURS
from tests.benchmarks import figures


def soaked(*pss: int, errors: int = 0) -> Soak:
    """A run with these sizes at the ends of its slices."""
    machine = Machine("a processor", 2, "3.11", {}, "abc", "2026-01-01", 0.1)
    slices = [
        Slice(number % 3 == 2, 1000, errors, 90.0, 1.5, size, size, 20)
        for number, size in enumerate(pss)
    ]
    return Soak(machine, "heavy", "defaults", slices)


def texts(charts: Mapping[str, str]) -> dict[str, list[str | None]]:
    """The labels and values of each chart; positions may differ between versions of matplotlib."""
    roots = {name: ET.fromstring(svg) for name, svg in charts.items()}  # noqa: S314 our own
    return {
        name: [one.text for one in root.iter("{http://www.w3.org/2000/svg}text")]
        for name, root in roots.items()
    }


def test_the_page_is_what_its_result_says() -> None:
    """Nobody edits the generated page: writing it and its charts again changes nothing."""
    sources = document.read_sources(DOCS / "results")
    assert (DOCS / document.PAGE).read_text() == document.page(sources)
    folder = DOCS / "images" / "performance"
    charts = plots.draw(sources.bench)
    drawn = {path.name: path.read_text() for path in folder.iterdir()}
    assert texts(drawn) == texts(charts)
    text = (DOCS / "performance.md").read_text()
    assert set(charts) == set(re.findall(r"images/performance/([a-z-]+\.svg)", text))


def test_links_to_the_page_name_its_sections() -> None:
    """performance.md links to sections that the page has."""
    headings = re.findall(r"^#+ (.*)$", (DOCS / document.PAGE).read_text(), re.MULTILINE)
    anchors = {heading.lower().replace(" ", "-") for heading in headings}
    text = (DOCS / "performance.md").read_text()
    linked = set(re.findall(rf"{re.escape(document.PAGE)}#([a-z-]+)", text))
    assert linked
    assert linked <= anchors


def test_the_kept_results_are_small() -> None:
    """A repository is no place for large files."""
    assert all(path.stat().st_size < 200_000 for path in (DOCS / "results").iterdir())


def test_the_page_shows_what_was_measured() -> None:
    """A table has a row for each system, and what was not measured is named."""
    page = document.page(Sources(figures.result(), None))
    assert "## The heavy model\n\n### All loads" in page
    assert "| vaeserve | 20.0 [18.0…24.0] |" in page
    assert "## Soak\n\nNot measured.\n" in page
    assert page.endswith("## Training\n\nNot measured.\n")


def test_a_page_is_written_of_an_unfinished_run() -> None:
    """The page says why the run ended early, and has no tables of bundles never reached."""
    unfinished = replace(figures.result(), bundles={}, ended_early="LoadError: wrk failed")
    page = document.page(Sources(unfinished, None))
    assert "The run ended early: LoadError: wrk failed" in page
    assert "model" not in page.split("## Settings")[1]
    assert plots.draw(unfinished) == {}


def test_loads_without_a_response_are_named_below_the_targets() -> None:
    """A target without a verdict does not vanish when the service sent no response."""
    whole = figures.result()
    lost = Unanswered(OURS, "/sample n=1024", 4, 2.0)
    whole.bundles["heavy"].unanswered[:] = [lost]
    whole.bundles["small"].unanswered.clear()
    page = document.page(Sources(whole, None))
    assert (
        "|\n\nNot measured: vaeserve, heavy, /sample n=1024, 4 connections. "
        "It sent no response within 2 s.\n\n## Settings"
    ) in page


def test_results_are_kept_by_their_kind(tmp_path: Path) -> None:
    """A bench's and a soak's result are told apart, and drawn into one page with its charts."""
    docs = tmp_path / "docs"
    docs.mkdir()
    bench, soaking = result.write(figures.result(), tmp_path), tmp_path / "any.json"
    soaking.write_bytes(result.dumps(soaked(100, 100)))
    kept = [document.keep(path, docs).name for path in (bench, soaking)]
    assert kept == ["bench.json", "soak.json"]
    written = document.write(docs)
    assert {path.name for path in written} == {
        *(document.PAGE, "requests.svg", "cpu.svg", "fixed-rates.svg")
    }
    page = (docs / document.PAGE).read_text()
    assert "2000 requests, 0 errors" in page
    assert "a processor" in page


def test_a_file_that_is_no_result_is_refused(tmp_path: Path) -> None:
    """Nothing is kept of it."""
    other = tmp_path / "other.json"
    other.write_text("{}")
    with pytest.raises(ResultError, match=r"other\.json"):
        document.keep(other, tmp_path)


def test_growth_leaves_out_the_start() -> None:
    """Filling up in the first quarter is no growth; rising ever after is."""
    fills = soaked(*(100, 200), *[300] * 6)
    rises = soaked(*range(100, 180, 10))
    assert (fills.growth, fills.grows) == (0, False)
    assert (rises.growth, rises.grows) == (40, True)
    assert soaked(100, 100, errors=2).errors == 4


def test_a_soak_lasts_as_long_as_its_slices() -> None:
    """Those in which clients finish what they began take longer; older results say ten seconds."""
    whole = soaked(100, 100, 100)
    assert soak.summary(whole).startswith("0 minutes")
    whole.slices[0] = replace(whole.slices[0], seconds=70.0)
    assert soak.summary(whole).startswith("2 minutes")


def test_bars_are_as_long_as_their_values() -> None:
    """The parts of a bar follow each other and end at its median, on an axis that starts at 0."""
    bars = (
        Bar("a & b", Statistics(30.0, 25.0, 35.0, 3), "30", ours=True, beyond=20.0),
        Bar("<c>", Statistics(60.0, 60.0, 60.0, 1), "60"),
    )
    [axes] = plots.figure_of([Panel("Panel", "ms", bars)]).axes
    drawn = [(one.get_x(), one.get_width()) for one in axes.patches if isinstance(one, Rectangle)]
    assert drawn == [(0, 10), (10, 20), (0, 60), (60, 0)]
    assert axes.get_xlim()[0] == 0
    assert [one.get_text() for one in axes.get_yticklabels()] == ["a & b", "<c>"]


def test_the_same_result_draws_the_same_files() -> None:
    """A chart has no date and no random names, and escapes its texts."""
    charts = plots.draw(figures.result())
    assert charts == plots.draw(figures.result())
    assert set(charts) == {"requests.svg", "cpu.svg", "fixed-rates.svg"}
    assert "vaeserve" in texts(charts)["requests.svg"]
