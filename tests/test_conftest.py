"""Skipped tests fail the run where they must not be skipped."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SKIPPED = "import pytest\n\ndef test_it():\n    pytest.skip('wrk is not installed')\n"
PASSED = "def test_it():\n    pass\n"


@pytest.mark.parametrize(
    ("source", "skips", "status"),
    [(SKIPPED, "", 0), (SKIPPED, "fail", 1), (PASSED, "fail", 0)],
)
def test_a_skip_fails_the_run_if_the_environment_says_so(
    tmp_path: Path, source: str, skips: str, status: int
) -> None:
    """VAESERVE_TEST_SKIPS=fail turns the exit status of a run with a skipped test into 1."""
    test = tmp_path / "test_it.py"
    test.write_text(source)
    finished = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "tests.conftest", "-c", os.devnull, str(test)],
        cwd=ROOT,
        env=os.environ | {"VAESERVE_TEST_SKIPS": skips},
        capture_output=True,
        text=True,
    )
    assert finished.returncode == status, finished.stdout
    assert ("1 skipped" in finished.stdout) == (source == SKIPPED)
