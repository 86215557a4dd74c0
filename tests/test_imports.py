"""Imports go one way, and serving works without torch."""

from __future__ import annotations

import os
import pkgutil
import subprocess
import sys
from pathlib import Path

import app

ROOT = Path(__file__).parent.parent


def test_the_import_contracts_hold() -> None:
    """Every import-linter contract of pyproject.toml is kept."""
    linter = Path(sys.executable).with_name("lint-imports")
    finished = subprocess.run([linter, "--no-cache"], cwd=ROOT, capture_output=True, text=True)
    assert finished.returncode == 0, finished.stdout
    assert "0 broken" in finished.stdout


def test_every_app_module_imports_without_torch(tmp_path: Path) -> None:
    """Every module of app can be imported in a process where importing torch raises."""
    found = pkgutil.walk_packages(app.__path__, "app.")
    modules = [module.name for module in found]
    assert "app.factory" in modules
    assert "app.api.verbs" in modules
    finished = _import_without_torch(tmp_path, modules)
    assert finished.returncode == 0, finished.stderr


def test_the_poison_works(tmp_path: Path) -> None:
    """A module that needs torch fails in that process, so the test above is effective."""
    finished = _import_without_torch(tmp_path, ["model.networks.vae"])
    assert finished.returncode != 0
    assert "torch was imported" in finished.stderr


def _import_without_torch(folder: Path, modules: list[str]) -> subprocess.CompletedProcess[str]:
    (folder / "torch.py").write_text("raise RuntimeError('torch was imported')\n")
    path = os.pathsep.join([str(folder), str(ROOT)])
    return subprocess.run(
        [sys.executable, "-c", f"import {', '.join(modules)}"],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
    )
