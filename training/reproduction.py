"""Does a run come to the figure of a bundle? `python -m training.reproduction WORKDIR BUNDLE`.

Compares the importance-weighted bounds on the same test pictures, binarised alike, with the same
number of samples. Weights differ between seeds, so the figures do a little.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from model.bundle import BundleError, open_bundle
from model.manifest import Metric
from training.errors import StageError, TrainingError
from training.workdir import Workdir

WITHIN_NATS = 0.3


def difference(workdir: Path, bundle: Path) -> float:
    """The run's bound minus the bundle's, in nats.

    Raises:
        StageError: the run is not evaluated, the bundle can't be read or has no such figure, or
            the two were measured on other pictures, bits or numbers of samples.
    """
    files = Workdir(workdir)
    measured = files.read_json(files.metrics, "evaluate")["metrics"]
    try:
        shipped = open_bundle(bundle).manifest.metrics.get("bound")
    except BundleError as error:
        raise StageError(str(error)) from error
    if shipped is None:
        msg = f"{bundle}: its manifest states no bound to compare with"
        raise StageError(msg)
    found = Metric.model_validate(measured["bound"])
    for about in ("n", "samples", "seeds", "note"):
        ours, theirs = getattr(found, about), getattr(shipped, about)
        if ours != theirs:
            msg = f"the bounds are not comparable: {about} is {ours} here, {theirs} in the bundle"
            raise StageError(msg)
    return found.value - shipped.value


def main() -> int:
    """Prints the difference; 0 when it is within `WITHIN_NATS`, 1 when not, 2 without one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("workdir", type=Path)
    parser.add_argument("bundle", type=Path)
    options = parser.parse_args()
    try:
        nats = difference(options.workdir, options.bundle)
    except TrainingError as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 2
    # A better figure would show a bundle that was not trained as its preset says, too.
    reproduced = abs(nats) <= WITHIN_NATS
    verdict = "reproduced" if reproduced else "not reproduced"
    print(f"{verdict}: {nats:+.3f} nats from {options.bundle}, allowed ±{WITHIN_NATS}")  # noqa: T201
    return 0 if reproduced else 1


if __name__ == "__main__":
    sys.exit(main())
