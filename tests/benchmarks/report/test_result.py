"""Results survive their file, and become tables."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import orjson
import pytest

from benchmarks.measure.comparison import Unanswered
from benchmarks.report import report, result, tables, targets
from benchmarks.report.result import ResultError
from benchmarks.report.tables import Table
from benchmarks.servers.ours import OURS
from tests.benchmarks import figures


def test_a_result_is_read_as_it_was_written(tmp_path: Path) -> None:
    """A result read from its file is the one that was written, to five significant digits."""
    path = result.write(figures.result(), tmp_path)
    again = result.read(path)
    assert result.read(result.write(again, tmp_path)) == again
    assert report.render(again, targets.verdicts(again)) == report.render(
        figures.result(), targets.verdicts(figures.result())
    )


def test_another_file_is_refused(tmp_path: Path) -> None:
    """A file that is not a result is named in the error."""
    other = tmp_path / "other.json"
    other.write_text('{"machine": 1}')
    with pytest.raises(ResultError, match=r"other\.json: not a result"):
        result.read(other)


def test_columns_line_up() -> None:
    """Words are aligned to the left, numbers to the right."""
    table = Table("any", [{"name": "a", "n": "100"}, {"name": "longer", "n": "1"}])
    lines = table.text().splitlines()
    assert lines == ["name      n", "------  ---", "a       100", "longer    1"]


def test_rows_are_as_long_as_their_head() -> None:
    """Every table of a full result has rows, all with the same columns."""
    for figure in figures.result().bundles.values():
        for table in tables.of_bundle(figure):
            assert table.rows, table.title
            assert {tuple(row) for row in table.rows} == {table.head}


def test_errors_of_all_parts_are_counted() -> None:
    """A failed request of any part is counted."""
    whole = figures.result()
    assert whole.errors == 0
    whole.bundles["heavy"].cells.append(figures.cell("LitServe", errors=3))
    assert whole.errors == 3


def test_loads_without_an_answer_survive_and_are_shown(tmp_path: Path) -> None:
    """They are in the file and the report, apart for the service and a rival."""
    whole = figures.result()
    assert whole.unanswered(OURS) == 0
    whole.bundles["small"].unanswered.append(Unanswered(OURS, "/sample n=1", 256, 2.0))
    again = result.read(result.write(whole, tmp_path))
    assert (again.unanswered(OURS), again.unanswered("LitServe")) == (1, 2)
    lines = report.render(again, []).splitlines()
    assert any(line.split() == ["/sample", "n=1", OURS, "256", "2"] for line in lines)


def test_a_result_without_the_later_members_is_read(tmp_path: Path) -> None:
    """Older files without this member are still results."""
    content = orjson.loads(result.dumps(figures.result()))
    for bundle in content["bundles"].values():
        del bundle["unanswered"]
    path = tmp_path / "older.json"
    path.write_bytes(orjson.dumps(content))
    assert result.read(path).unanswered("") == 0


def test_who_was_measured_in_part_is_told_apart() -> None:
    """A system that failed halfway is reported as measured in part."""
    whole = replace(figures.result(), missing={"LitServe": "it broke", "Triton": "no container"})
    text = report.render(whole, [])
    assert "LitServe: measured in part: it broke" in text
    assert "Triton: not measured: no container" in text


def test_what_else_went_on_is_not_said_of_a_run_under_way(tmp_path: Path) -> None:
    """The report of a run under way does not mention other processes."""
    under_way = replace(figures.result(), disturbance=None)
    again = result.read(result.write(under_way, tmp_path))
    assert again.disturbance is None
    assert "Meanwhile" not in report.measured_on(again)
    assert "Meanwhile other processes took 12 %" in report.measured_on(figures.result())


def test_an_unfinished_result_says_so_and_is_drawn(tmp_path: Path) -> None:
    """The report says why a run ended early and which parts it measured."""
    whole = figures.result()
    del whole.bundles["small"]
    whole.bundles["heavy"] = replace(whole.bundles["heavy"], starts=[], parts=["rest", "loads"])
    early = replace(whole, ended_early="ServerError: vaeserve was not ready within 120 s")
    again = result.read(result.write(early, tmp_path))
    text = report.render(again, targets.verdicts(again))
    assert "The run ended early: ServerError: vaeserve was not ready within 120 s" in text
    assert "Measured to its end: heavy: rest, loads" in text
    assert "ended early" not in report.render(whole, targets.verdicts(whole))


def test_a_result_replaces_the_one_before(tmp_path: Path) -> None:
    """A run keeps one file and leaves no other file beside it."""
    first = result.write(figures.result(), tmp_path)
    second = result.write(replace(figures.result(), ended_early="anything"), tmp_path)
    assert list(tmp_path.iterdir()) == [first] == [second]
    assert result.read(second).ended_early == "anything"
