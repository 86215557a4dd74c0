"""Results survive their file, and become tables."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import bars, report, result, tables
from benchmarks.result import ResultError
from benchmarks.tables import Table
from tests.benchmarks import figures


def test_a_result_is_read_as_it_was_written(tmp_path: Path) -> None:
    """Nothing is lost but digits that nobody measured."""
    path = result.write(figures.result(), tmp_path)
    again = result.read(path)
    assert result.read(result.write(again, tmp_path)) == again
    assert report.render(again, bars.verdicts(again)) == report.render(
        figures.result(), bars.verdicts(figures.result())
    )


def test_another_file_is_refused(tmp_path: Path) -> None:
    """What is no result is named."""
    other = tmp_path / "other.json"
    other.write_text('{"machine": 1}')
    with pytest.raises(ResultError, match=r"other\.json: no result"):
        result.read(other)


def test_columns_line_up() -> None:
    """The first column stands left, the others right, under the widest of each."""
    table = Table("any", ("name", "n"), [("a", "100"), ("longer", "1")])
    lines = report.text(table).splitlines()
    assert lines == ["name      n", "------  ---", "a       100", "longer    1"]


def test_rows_are_as_long_as_their_head() -> None:
    """Every table of a full result is rectangular and has rows."""
    for figure in figures.result().bundles.values():
        for table in tables.of_bundle(figure):
            assert table.rows, table.title
            assert {len(row) for row in table.rows} == {len(table.head)}


def test_errors_of_all_parts_are_counted() -> None:
    """A request that failed anywhere is found in the sum."""
    whole = figures.result()
    assert whole.errors == 0
    whole.bundles["heavy"].cells.append(figures.cell("LitServe", errors=3))
    assert whole.errors == 3


def test_an_unfinished_result_says_so_and_is_drawn(tmp_path: Path) -> None:
    """What ended a run, and what it had measured, stand in the report and survive the file."""
    whole = figures.result()
    del whole.bundles["small"]
    whole.bundles["heavy"] = replace(whole.bundles["heavy"], starts=[], parts=["rest", "loads"])
    early = replace(whole, ended_early="ServerError: vaeserve was not ready within 120 s")
    again = result.read(result.write(early, tmp_path))
    text = report.render(again, bars.verdicts(again))
    assert "The run ended early: ServerError: vaeserve was not ready within 120 s" in text
    assert "Measured to its end: heavy: rest, loads" in text
    assert "ended early" not in report.render(whole, bars.verdicts(whole))


def test_a_result_replaces_the_one_before(tmp_path: Path) -> None:
    """A run keeps one file, which is whole at any time, and leaves nothing beside it."""
    first = result.write(figures.result(), tmp_path)
    second = result.write(replace(figures.result(), ended_early="anything"), tmp_path)
    assert list(tmp_path.iterdir()) == [first] == [second]
    assert result.read(second).ended_early == "anything"
