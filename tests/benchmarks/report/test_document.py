"""docs/performance.md says what its result says."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.load import soak
from benchmarks.load.soak import Slice, Soak
from benchmarks.measure.comparison import Unanswered
from benchmarks.measure.machine import Machine
from benchmarks.report import document, result
from benchmarks.report.charts import Bar, Panel, svg, ticks
from benchmarks.report.document import DOCS, Sources
from benchmarks.report.result import ResultError
from benchmarks.report.targets import OURS
from tests.benchmarks import figures


def soaked(*pss: int, errors: int = 0) -> Soak:
    """A run with these sizes at the ends of its slices."""
    machine = Machine("a processor", 2, "3.11", {}, "abc", "2026-01-01", 0.1)
    slices = [
        Slice(number % 3 == 2, 1000, errors, 90.0, 1.5, size, size, 20)
        for number, size in enumerate(pss)
    ]
    return Soak(machine, "heavy", "defaults", slices)


def test_the_page_is_what_its_result_says() -> None:
    """Nobody edits figures by hand: drawing the page and its charts anew changes nothing."""
    sources = document.read_sources(DOCS / "results")
    page = (DOCS / "performance.md").read_text()
    assert document.drawn(page, sources) == page
    folder = DOCS / "images" / "performance"
    charts = document.charts(sources)
    assert {path.name: path.read_text() for path in folder.iterdir()} == charts
    shown = set(re.findall(r"images/performance/([a-z-]+\.svg)", page))
    assert set(charts) == shown


def test_the_kept_results_are_small() -> None:
    """A repository is no place for large files."""
    assert all(path.stat().st_size < 200_000 for path in (DOCS / "results").iterdir())


def test_sections_are_drawn_between_their_marks() -> None:
    """What stood there goes, what stands around stays, and what was not measured is said."""
    page = "before\n<!-- figures: heavy mixed -->\nold\n<!-- end -->\nafter\n"
    page += "<!-- figures: soak -->\n<!-- end -->\n"
    drawn = document.drawn(page, Sources(figures.result(), None))
    assert drawn.startswith("before\n<!-- figures: heavy mixed -->\n\n| system |")
    assert "| vaeserve | 20.0 [18.0 … 24.0] |" in drawn
    assert "old" not in drawn
    assert drawn.endswith(
        "<!-- end -->\nafter\n<!-- figures: soak -->\n\nNot measured.\n\n<!-- end -->\n"
    )
    assert document.drawn(drawn, Sources(figures.result(), None)) == drawn


def test_a_page_is_drawn_of_an_unfinished_run() -> None:
    """A bundle that the run did not come to is not measured, and the page says how it ended."""
    unfinished = replace(figures.result(), bundles={}, ended_early="LoadError: wrk failed")
    page = "<!-- figures: machine -->\n<!-- end -->\n"
    page += "<!-- figures: small loads -->\n<!-- end -->\n"
    drawn = document.drawn(page, Sources(unfinished, None))
    assert "The run ended early: LoadError: wrk failed" in drawn
    assert "<!-- figures: small loads -->\n\nNot measured.\n" in drawn
    assert document.charts(Sources(unfinished, None)) == {}


def test_what_is_missing_among_the_bars_is_said_there() -> None:
    """A bar without a verdict is not simply gone when the service gave no answer."""
    whole = figures.result()
    lost = Unanswered(OURS, "/sample n=1024", 4, 2.0)
    whole.bundles["heavy"].unanswered[:] = [lost]
    whole.bundles["small"].unanswered.clear()
    drawn = document.drawn("<!-- figures: bars -->\n<!-- end -->\n", Sources(whole, None))
    assert drawn.endswith(
        "|\n\nNot measured: vaeserve, heavy, /sample n=1024, 4 connections, gave no answer in 2 s."
        "\n\n<!-- end -->\n"
    )


def test_an_unknown_section_is_named() -> None:
    """A typing error in the page is not taken for figures that are missing."""
    with pytest.raises(ResultError, match="'heavy moxed'"):
        document.drawn(
            "<!-- figures: heavy moxed --><!-- end -->".replace("--><", "-->\n<"),
            Sources(figures.result(), None),
        )


def test_results_are_kept_by_their_kind(tmp_path: Path) -> None:
    """A bench's and a soak's result are told apart, and drawn into one page with its charts."""
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "performance.md").write_text(
        "<!-- figures: soak -->\n<!-- end -->\n<!-- figures: machine -->\n<!-- end -->\n"
    )
    bench, soaking = result.write(figures.result(), tmp_path), tmp_path / "any.json"
    soaking.write_bytes(soak.dumps(soaked(100, 100)))
    kept = [document.keep(path, docs).name for path in (bench, soaking)]
    assert kept == ["bench.json", "soak.json"]
    written = document.write(docs)
    assert {path.name for path in written} == {
        *("performance.md", "requests.svg", "cpu.svg", "fixed-rates.svg")
    }
    page = (docs / "performance.md").read_text()
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


@pytest.mark.parametrize("largest", [0.0, 0.03, 1.0, 7.0, 430.0, 1999.0, 2000.0, 60000.0])
def test_axes_start_at_zero_and_cover_everything(largest: float) -> None:
    """Marks are round, few, and the last is not below the largest value."""
    marks = ticks(largest)
    assert marks[0] == 0
    assert marks[-1] >= largest * 0.999
    assert len(marks) <= 8


def test_bars_are_as_long_as_their_values() -> None:
    """Twice the value is twice the length, parts follow each other, and names are escaped."""
    bars = (
        Bar("a & b", (10.0, 20.0), 25.0, 35.0, "30", ours=True),
        Bar("<c>", (60.0,), 60.0, 60.0, "60"),
    )
    root = ET.fromstring(svg("Title", [Panel("Panel", "ms", bars)]))  # noqa: S314 our own
    space = "{http://www.w3.org/2000/svg}"
    first, second, other = (
        (float(one.attrib["x"]), float(one.attrib["width"])) for one in root.iter(f"{space}rect")
    )
    assert second[0] == pytest.approx(first[0] + first[1])
    assert second[1] == pytest.approx(2 * first[1])
    assert other[1] == pytest.approx(2 * (first[1] + second[1]))
    assert "a & b" in {one.text for one in root.iter(f"{space}text")}
