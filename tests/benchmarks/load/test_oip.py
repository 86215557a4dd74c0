"""The load on the inference protocol: its metrics, and a short run against a live server."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.load import oip
from tests import arithmetic_bundle


def test_metrics_are_those_of_the_latencies() -> None:
    """Rates count requests, latencies are percentiles in milliseconds."""
    latencies = [0.001 * k for k in range(1, 102)]
    found = oip.metrics(4, latencies, 2.0, 1.0)
    assert (found.requests, found.requests_per_second) == (101, 50.5)
    assert found.p50 == pytest.approx(51)
    assert found.p99 == pytest.approx(100)
    assert found.client_cores == 0.5


@pytest.mark.parametrize("flags", [[], ["--json", "--kind", "decoder"], ["--kind", "reconstruct"]])
def test_a_short_run_prints_a_row_for_each_concurrency(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], flags: list[str]
) -> None:
    """A run starts the service, sends the chosen form, and prints a table."""
    bundle = arithmetic_bundle.write(tmp_path)
    options = ["--bundle", str(bundle.folder), "--seconds", "0.2", "--concurrency", "1", "3"]
    oip.main([*options, *flags])
    printed = capsys.readouterr().out
    assert "arithmetic-" in printed
    rows = [
        line for line in printed.splitlines() if line.startswith(("│         1", "│         3"))
    ]
    assert len(rows) == 2
