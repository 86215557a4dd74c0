"""Who is better is said only where the errors allow it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from model.bundle.manifest import Metric
from training.reports.comparison import compare
from training.reports.run_record import Record


def record(folder: str = "a", **changed: Any) -> Record:
    values: dict[str, Any] = {
        "folder": Path("runs") / folder,
        "settings": {"epochs": 5},
        "run": {},
        "log": [],
        "warnings": [],
        "metrics": {},
        "split": "test",
        "kl_per_dimension": [],
        "finished": True,
    }
    return Record(**{**values, **changed})


def measured(value: float, error: float | None = 0.1, *, name: str = "bound", n: int = 100) -> Any:
    return {name: Metric(value=value, standard_error=error, n=n, samples=500)}


def marks(name: str, *metrics: Any) -> list[str | None]:
    records = [record(str(number), metrics=one) for number, one in enumerate(metrics)]
    return list(compare(records).marks[name])


def test_settings_that_differ() -> None:
    """Only they are told, those that only one run knows too, and not what a bundle is called."""
    one = record("a", settings={"epochs": 5, "seed": 1, "ema": 0.9, "bundle.name": "a"})
    other = record("b", settings={"epochs": 5, "seed": 2, "bundle.name": "b"})

    assert compare([one, other]).settings == {"seed": [1, 2], "ema": [0.9, None]}


def test_the_best_is_marked_and_what_it_can_not_be_told_from() -> None:
    """Within two standard errors of the difference two runs are a draw."""
    found = marks("bound", measured(-84.0), measured(-84.2), measured(-84.3), measured(-90.0))

    assert found == ["best", "draw", None, None]


@pytest.mark.parametrize("name", ["bits_per_dimension", "sample_frechet_distance"])
def test_lower_may_be_better(name: str) -> None:
    """Bits and distances are better when they are lower; without errors there is no draw."""
    found = marks(name, measured(2.0, None, name=name), measured(1.9, None, name=name))

    assert found == [None, "best"]


def test_what_is_neither_better_nor_worse_is_not_marked() -> None:
    """The KL and figures that are not known have no best."""
    for name in ("kl", "unheard_of"):
        assert marks(name, measured(1.0, name=name), measured(2.0, name=name)) == [None, None]


def test_a_run_alone_is_not_the_best() -> None:
    """A figure that only one run has is shown and not marked."""
    assert marks("bound", measured(-84.0), {}) == [None, None]


def test_other_images_are_not_compared() -> None:
    """Figures of other numbers of images are told as such."""
    compared = compare(
        [record("a", metrics=measured(-84.0)), record("b", metrics=measured(-83.0, n=10))]
    )

    assert compared.incomparable == ["bound"]
    assert compared.marks["bound"] == [None, None]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("model.likelihood.family", "logistic"),
        ("model.likelihood.binarise", "sample"),
        ("model.channels", 1),
        ("model.height", 8),
        ("model.width", 8),
    ],
)
def test_figures_of_other_numbers_are_not_compared(key: str, value: object) -> None:
    """A density is no probability, and other images' figures are other figures."""
    settings = {"model.likelihood.family": "gaussian", "model.channels": 3}
    records = [
        record("a", settings=settings, metrics=measured(-84.0, name="elbo")),
        record("b", settings={**settings, key: value}, metrics=measured(-83.0, name="elbo")),
    ]

    compared = compare(records)

    assert compared.incomparable == ["elbo"]
    assert compared.marks["elbo"] == [None, None]


def test_figures_of_another_split_are_not_compared() -> None:
    """Validation images choose, test images tell: their figures are not set side by side."""
    records = [
        record("a", metrics=measured(-84.0, name="elbo")),
        record("b", split="validation", metrics=measured(-83.0, name="elbo")),
    ]

    compared = compare(records)

    assert compared.incomparable == ["elbo"]
    assert compared.marks["elbo"] == [None, None]


def test_every_figure_is_of_the_pixels_that_the_bound_names() -> None:
    """As many other images are other images, for figures too that don't state them."""

    def metrics(digest: str) -> dict[str, Metric]:
        note = f"in nats; SHA-256 of the pixels: {digest * 64}"
        bound = Metric(value=-84.0, n=100, samples=500, note=note)
        return {"bound": bound, **measured(0.1, name="mean_squared_error")}

    same = compare([record("a", metrics=metrics("a")), record("b", metrics=metrics("a"))])
    other = compare([record("a", metrics=metrics("a")), record("b", metrics=metrics("b"))])

    assert same.incomparable == []
    assert other.incomparable == ["bound", "mean_squared_error"]


def test_samples_are_compared_across_likelihoods() -> None:
    """They are measured as images, whatever the bound is of."""
    name = "sample_frechet_distance"
    records = [
        record(family, settings={"model.likelihood.family": family}, metrics=found)
        for family, found in (
            ("gaussian", measured(2.0, None, name=name)),
            ("logistic", measured(1.9, None, name=name)),
        )
    ]

    assert compare(records).marks[name] == [None, "best"]


def test_validation_bounds_of_other_likelihoods_are_not_compared() -> None:
    """The same split is not enough."""
    records = [
        record(
            family,
            settings={"data.validation_share": 0.1, "model.likelihood.family": family},
            log=[{"epoch": 1, "step": 1, "validation_elbo": -90.0}],
        )
        for family in ("gaussian", "logistic")
    ]

    assert compare(records).incomparable == ["validation_elbo"]


def test_validation_bounds_of_one_split_are_compared() -> None:
    """The last validation bound counts, where the split is the same."""

    def validated(bound: float, share: float) -> Record:
        return record(
            f"{bound}",
            settings={"data.validation_share": share},
            run={"fingerprints": {"train": "f"}},
            log=[{"epoch": 1, "step": 1, "validation_elbo": bound}],
        )

    same = compare([validated(-90.0, 0.1), validated(-89.0, 0.1)])
    other = compare([validated(-90.0, 0.1), validated(-89.0, 0.2)])

    assert same.marks["validation_elbo"] == [None, "best"]
    assert other.incomparable == ["validation_elbo"]


def test_names_tell_runs_apart() -> None:
    """A folder's own name, with the one above where two have the same."""
    assert list(compare([record("a"), record("b")]).runs) == ["a", "b"]
    assert list(compare([record("x/a"), record("y/a")]).runs) == ["x/a", "y/a"]
    assert list(compare([record("a"), record("a")]).runs) == ["a (1)", "a (2)"]
