"""The bundles to measure: the two with random weights, the shipped one, or a folder."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from model.bundle.bundle import Bundle, BundleError, open_bundle

EXPORTED = ("heavy", "small")
SHIPPED = Path(__file__).parents[1] / "model" / "bundles" / "mnist" / "3"

_FOLDER = Path(__file__).parent / "bundles"


def find_bundle(named: str) -> tuple[str, Bundle]:
    """Opens `heavy` or `small`, which are exported if they are missing, or a bundle's folder.

    Raises:
        BundleError: the folder has no valid bundle, or the export failed.
    """
    if named not in EXPORTED:
        bundle = open_bundle(Path(named))
        return bundle.manifest.name, bundle
    # In a separate process, because torch's threads and memory would disturb the measurements.
    command = [sys.executable, "-m", "benchmarks.bundles", "--model", named]
    exported = subprocess.run(command, check=False)
    if exported.returncode:
        msg = f"the {named} model was not exported; that needs torch, which `make setup` installs"
        raise BundleError(msg)
    return named, open_bundle(_FOLDER / named / "1")
