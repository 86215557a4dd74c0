"""Writes `constraints.txt`: one pin for every dependency of every extra, for each Python given.

`python deploy/lock.py python3.11 python3.12` resolves like pip in fresh environments, without
installing anything. The versions of the first interpreter are constraints for the next ones, so
one file serves all. A version that does not suit all of them is an error.
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

# Updated by hand after checking the exported graphs.
HELD = {"torch": "2.13.0"}

# Only builds for NVIDIA devices need these; torch and onnxruntime-gpu pin their own versions.
DEVICE_LIBRARIES = re.compile(r"(nvidia|cuda|cupy)-|triton$")

HEADER = """\
# Every dependency of every extra. Written by `make lock`; don't edit by hand.
"""


def main() -> int:
    """Resolves for each interpreter and writes the file. Returns 1 if pip finds no solution."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pythons", nargs="+", help="interpreters, the oldest first")
    pins: dict[str, str] = dict(HELD)
    for python in parser.parse_args().pythons:
        try:
            resolved = resolve(python, pins)
        except OSError as error:
            print(f"lock: {python} failed to run: {error}", file=sys.stderr)
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
    """Maps name to version for all packages that pip would install for `python` under `pins`."""
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
    """Creates an environment without packages and returns its interpreter."""
    command = [python, "-m", "venv", "--without-pip", str(folder / "env")]
    subprocess.run(command, check=True, stderr=subprocess.PIPE, text=True)
    return str(folder / "env" / "bin" / "python")


def pins_of(report: dict[str, list[dict[str, dict[str, str]]]]) -> dict[str, str]:
    """Maps name to public version, from a report of `pip install --report`.

    Leaves out the project itself, device libraries, and local version suffixes (`+cpu`), which
    name a build instead of a release.
    """
    found = {}
    for item in report["install"]:
        name = re.sub(r"[-_.]+", "-", item["metadata"]["name"]).lower()
        if name != "vaeserve" and not DEVICE_LIBRARIES.match(name):
            found[name] = item["metadata"]["version"].partition("+")[0]
    return found


if __name__ == "__main__":
    sys.exit(main())
