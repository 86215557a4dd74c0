"""An environment for each peer, with the versions that `requirements/<peer>.txt` pins."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.servers.ours import ServerError

ROOT = Path(__file__).parents[1] / "environments"
REQUIREMENTS = Path(__file__).parent / "requirements"
_INSTALLED = "installed.txt"

# All peers have the same engine and image library, so that they differ only in serving.
_COMMON = ("numpy==2.4.6", "onnxruntime==1.32.0", "pillow==13.0.0")
WANTED = {
    # LitServe needs python-multipart for uploads.
    "litserve": ("litserve==0.2.19", "python-multipart==0.0.34", *_COMMON),
    # On asyncio's own loop one of BentoML's workers gets all connections.
    "bentoml": ("bentoml==1.4.39", "uvloop==0.23.0", "httptools==0.9.0", *_COMMON),
    # Newer uvloops crash its parallel workers.
    "mlserver": ("mlserver==1.7.1", "uvloop==0.21.0", *_COMMON),
    "ray": ("ray[serve]==2.60.0", "python-multipart==0.0.34", *_COMMON),
    # Trainers for `python -m benchmarks.training`; `model` needs pydantic.
    "trainers": (
        *("pythae==0.1.2", "lightning==2.6.6", "torch==2.13.0", "numpy==2.4.6"),
        "pydantic==2.14.3",
    ),
}


class EnvironmentMissingError(ServerError):
    """A peer is not installed, or its versions differ from the pinned ones."""


def program(peer: str, name: str = "python") -> str:
    """The path of a program in a peer's environment.

    Raises:
        EnvironmentMissingError: the environment is missing or outdated.
    """
    if not is_current(peer):
        msg = f"{peer} is not installed as pinned; run: python -m benchmarks.peers install {peer}"
        raise EnvironmentMissingError(msg)
    return str(ROOT / peer / "bin" / name)


def is_current(peer: str) -> bool:
    """Whether the environment exists and has the pinned versions."""
    stamp = ROOT / peer / _INSTALLED
    return stamp.exists() and stamp.read_text() == _pinned(peer).read_text()


def install(peer: str, pip_options: Sequence[str] = ()) -> None:
    """Creates the environment, and replaces an existing one.

    Raises:
        subprocess.CalledProcessError: pip failed and printed the reason.
    """
    folder = ROOT / peer
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
    command = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet"]
    command += ["--disable-pip-version-check", "--requirement", str(_pinned(peer)), *pip_options]
    subprocess.run(command, check=True)
    (folder / _INSTALLED).write_text(_pinned(peer).read_text())


def lock(peer: str, pip_options: Sequence[str] = ()) -> None:
    """Resolves a peer's requirements without installing them, and writes its pins.

    Raises:
        subprocess.CalledProcessError: pip found no solution and printed the reason.
    """
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "report.json")
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--dry-run"]
        command += ["--ignore-installed", "--report", str(report), *pip_options, *WANTED[peer]]
        subprocess.run(command, check=True)
        pins = pins_of(json.loads(report.read_text()))
    head = f"# All that {peer} needs. Written by `python -m benchmarks.peers lock {peer}`.\n"
    _pinned(peer).write_text(head + "".join(f"{pin}\n" for pin in pins))


def pins_of(report: dict[str, list[dict[str, dict[str, str]]]]) -> list[str]:
    """`name==version`, sorted, from a report of `pip install --report`.

    Local version suffixes (`+cpu`) are removed: they name a build and not a release.
    """
    packages = [item["metadata"] for item in report["install"]]
    return sorted(
        f"{re.sub(r'[-_.]+', '-', one['name']).lower()}=={one['version'].partition('+')[0]}"
        for one in packages
    )


def _pinned(peer: str) -> Path:
    return REQUIREMENTS / f"{peer}.txt"
