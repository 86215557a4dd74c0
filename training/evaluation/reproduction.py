"""Does a run reproduce a published bound? `python -m training.evaluation.reproduction WORKDIR
PUBLISHED`.

PUBLISHED is a bundle's folder, or a JSON file of metrics by preset (`--preset`), such as
docs/results/models.json. Compares the importance-weighted bounds on the same test images, binarised
alike, with the same number of samples. Weights differ between seeds, so the bounds differ a little.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from model.bundle.bundle import MANIFEST
from model.bundle.manifest import Metric
from training.errors import StageError, TrainingError
from training.workdir import Workdir, read_json

WITHIN_NATS = 0.3


def difference(workdir: Path, told: Path, preset: str = "") -> float:
    """The run's bound minus the published one, in nats.

    Raises:
        StageError: the run is not evaluated, `told` can't be read or has no such bound, or the
            two were measured on different images, bits or numbers of samples.
    """
    files = Workdir(workdir)
    measured = files.read_json(files.metrics, "evaluate")["metrics"]
    expected = _bound_in(told, preset)
    found = Metric.model_validate(measured["bound"])
    for about in ("n", "samples", "seeds", "note"):
        ours, theirs = getattr(found, about), getattr(expected, about)
        if ours != theirs:
            msg = f"the bounds are not comparable: {about} is {ours} here, {theirs} in {told}"
            raise StageError(msg)
    return found.value - expected.value


def _bound_in(told: Path, preset: str) -> Metric:
    """The bound that a bundle's manifest or a record states."""
    try:
        document = read_json(told / MANIFEST) if told.is_dir() else read_json(told)[preset]
        return Metric.model_validate(document["metrics"]["bound"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        of = "" if told.is_dir() else f" of the preset {preset!r}"
        raise StageError(f"{told}: has no bound{of} to compare with: {error}") from error


def main() -> int:
    """Prints the difference; 0 when it is within `WITHIN_NATS`, 1 when not, 2 without one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("workdir", type=Path)
    parser.add_argument("told", type=Path, metavar="published")
    parser.add_argument("--preset", default="", help="the preset to look up in a JSON file")
    options = parser.parse_args()
    try:
        nats = difference(options.workdir, options.told, options.preset)
    except TrainingError as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 2
    # A better bound also shows that the model was not trained as its preset says.
    reproduced = abs(nats) <= WITHIN_NATS
    verdict = "reproduced" if reproduced else "not reproduced"
    print(f"{verdict}: {nats:+.3f} nats from {options.told}, allowed ±{WITHIN_NATS}")  # noqa: T201
    return 0 if reproduced else 1


if __name__ == "__main__":
    sys.exit(main())
