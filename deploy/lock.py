"""Writes `constraints.txt`: one pin for every dependency of every extra, for each Python given.

`python deploy/lock.py python3.11 python3.12` resolves as pip would in fresh environments, without
installing anything. What the first interpreter resolves binds the ones after it, so that one file
serves them all, and a version that suits only some of them is an error.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
CONSTRAINTS = ROOT / "constraints.txt"
PROJECT = ".[train,dev,gpu,s3,gs,hf,parquet,diffusers]"

# Moved by hand, after the exported graphs were checked again.
HELD = {"torch": "2.13.0"}

# Only builds for NVIDIA devices need these, and torch and onnxruntime-gpu each say which they take.
DEVICE_LIBRARIES = re.compile(r"(nvidia|cuda|cupy)-|triton$")

HEADER = """\
# Every dependency of every extra. Written by `make lock`; don't edit by hand.
"""


def main() -> int:
    """Resolves with each interpreter in turn and writes the file; 1 when pip finds no solution."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pythons", nargs="+", help="interpreters, the oldest first")
    pins: dict[str, str] = dict(HELD)
    for python in parser.parse_args().pythons:
        try:
            resolved = resolve(python, pins)
        except OSError as error:
            print(f"lock: {python} can't be run: {error}", file=sys.stderr)
            return 1
        except subprocess.CalledProcessError as error:
            print(f"lock: no solution for {python}:\n{error.stderr}", file=sys.stderr)
            return 1
        pins |= resolved
        print(f"lock: {python} resolves to {len(resolved)} packages")
    lines = sorted(f"{name}=={version}" for name, version in pins.items())
    CONSTRAINTS.write_text(HEADER + "\n".join(lines) + "\n")
    return 0


def resolve(python: str, pins: dict[str, str]) -> dict[str, str]:
    """Name → version of all that pip would install for `python`, under `pins`."""
    with tempfile.TemporaryDirectory() as folder:
        held = Path(folder, "held.txt")
        held.write_text("".join(f"{name}=={version}\n" for name, version in pins.items()))
        report = Path(folder, "report.json")
        command = [sys.executable, "-m", "pip", "--python", environment(python, Path(folder))]
        command += ["install", "--quiet", "--dry-run", "--report", str(report)]
        command += ["--constraint", str(held), PROJECT]
        subprocess.run(command, check=True, cwd=ROOT, stderr=subprocess.PIPE, text=True)
        return pins_of(json.loads(report.read_text()))


def environment(python: str, folder: Path) -> str:
    """The interpreter of a fresh environment without packages."""
    command = [python, "-m", "venv", "--without-pip", str(folder / "env")]
    subprocess.run(command, check=True, stderr=subprocess.PIPE, text=True)
    return str(folder / "env" / "bin" / "python")


def pins_of(report: dict[str, list[dict[str, dict[str, str]]]]) -> dict[str, str]:
    """Name → public version from a report of `pip install --report`.

    The project itself and device libraries are left out, and so are local version suffixes
    (`+cpu`), which name a build and not a release.
    """
    found = {}
    for item in report["install"]:
        name = re.sub(r"[-_.]+", "-", item["metadata"]["name"]).lower()
        if name != "vaeserve" and not DEVICE_LIBRARIES.match(name):
            found[name] = item["metadata"]["version"].partition("+")[0]
    return found


if __name__ == "__main__":
    sys.exit(main())
