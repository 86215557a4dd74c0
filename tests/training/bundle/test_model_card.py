"""A page about a model, all of it from its manifest."""

from __future__ import annotations

from model.bundle.bundle import CARD, open_bundle
from model.bundle.manifest import Metric
from tests import arithmetic_bundle
from tests.training import runs
from training.bundle.model_card import write_card
from training.workdir import Workdir


def test_the_card_tells_what_the_manifest_does(finished: Workdir) -> None:
    """What it is, data, recipe, every figure with its error and number of images, limits."""
    bundle = open_bundle(finished.bundles / "digits" / "1")
    manifest = bundle.manifest
    assert bundle.card is not None

    lines = bundle.card.splitlines()

    assert lines[0] == "# digits, version 1"
    assert manifest.card in lines
    assert "| images | grey, 28×28 |" in lines
    assert "| likelihood | bernoulli, of 784 values, binarised: sample |" in lines
    assert f"| fingerprint | {manifest.data.fingerprint} |" in lines
    assert "| epochs | 12 |" in lines
    titles = [line for line in lines if line.startswith("## ")]
    assert titles == [
        "## What it takes and gives", "## Data", "## Recipe", "## Figures", "## Limits",
        "## Licence",
    ]  # fmt: skip
    for name, metric in manifest.metrics.items():
        [row] = [line for line in lines if line.startswith(f"| {name} |")]
        assert f"| {metric.value:.5g} |" in row
        assert f"| {metric.n} |" in row
    assert any(line.startswith("The 4 latent values carry") for line in lines)


def test_the_same_run_has_the_same_card(finished: Workdir) -> None:
    """It tells nothing that differs between two bundlings of one run, such as the time."""
    bundle = open_bundle(finished.bundles / "digits" / "1")

    assert bundle.read(CARD) == write_card(bundle.manifest)
    assert str(bundle.manifest.created.year) not in (bundle.card or "")
    assert str(runs.ROOT) not in (bundle.card or "")


def test_what_a_model_does_not_have_is_said() -> None:
    """No likelihood, no figures: the card says so and claims nothing of them."""
    card = write_card(arithmetic_bundle.manifest(likelihood=None)).decode()

    assert "| likelihood | none: it has no bounds on log p(x) |" in card
    assert "Nothing was measured." in card
    assert "Nalisnick" not in card


def test_a_note_can_not_break_the_table() -> None:
    """A vertical bar inside a cell is another character."""
    metrics = {"bound": Metric(value=-1.0, n=3, note="E log p(x|z)")}

    card = write_card(arithmetic_bundle.manifest(metrics=metrics)).decode()

    assert "| bound | -1 |  | 3 |  | E log p(x∣z) |" in card
