"""A bundle from before gets what held-out images tell; its graphs stay."""

from __future__ import annotations

from pathlib import Path

import pytest

from model.bundle.bundle import DECODER, ENCODER, GOLDEN, Bundle, open_bundle, write_bundle
from model.bundle.posterior import POSTERIOR
from model.bundle.reference import REFERENCE
from tests import arithmetic_bundle
from tests.training import runs
from training.__main__ import main
from training.bundle.add_reference import add_reference
from training.bundle.model_card import write_card
from training.errors import DataError, StageError, TrainingError
from training.workdir import Workdir

GRAPHS = (ENCODER, DECODER, GOLDEN)
SHIPPED = runs.ROOT / "model" / "bundles" / "mnist" / "3"


@pytest.fixture
def before(finished: Workdir, tmp_path: Path) -> Bundle:
    """The run's bundle as it would be with nothing of held-out images."""
    whole = open_bundle(finished.bundles / "digits" / "1")
    manifest = whole.manifest.model_copy(update={"reference": None, "posterior": None})
    return write_bundle(tmp_path / "old", manifest, {name: whole.read(name) for name in GRAPHS})


def test_the_next_version_has_the_reference_of_the_run(
    finished: Workdir, before: Bundle, tmp_path: Path
) -> None:
    """The graphs are the same bytes, and the bounds those that the run's own stage stored."""
    own = open_bundle(finished.bundles / "digits" / "1")

    added = add_reference(
        before.folder,
        str(runs.MNIST),
        overrides=[f"data.cache={tmp_path / 'cache'}"],
        console=runs.QUIET,
    )

    assert added.folder == before.folder.parent / "2"
    assert {name: added.read(name) for name in GRAPHS} == {n: own.read(n) for n in GRAPHS}
    assert added.read(REFERENCE) == own.read(REFERENCE)
    assert added.read(POSTERIOR) == own.read(POSTERIOR)
    assert added.card == write_card(added.manifest).decode()
    changed = {"version": 1, "files": own.manifest.files}
    assert added.manifest.model_copy(update=changed) == own.manifest


def test_the_command_writes_where_it_is_told(
    before: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Root and version are options, the folder is printed, and what is there is not replaced."""
    arguments = [
        "add-reference", str(before.folder), "--data", str(runs.MNIST),
        "--root", str(tmp_path / "new"), "--version", "1",
        "--set", f"data.cache={tmp_path / 'cache'}", "--set", "evaluation.reference_pictures=5",
    ]  # fmt: skip

    assert main(arguments) == 0
    assert capsys.readouterr().out.strip() == str(tmp_path / "new" / "digits" / "1")
    assert open_bundle(tmp_path / "new" / "digits" / "1").manifest.reference is not None
    assert main(arguments) == 2
    assert "exists already" in capsys.readouterr().err


def test_other_images_are_refused(before: Bundle, tmp_path: Path) -> None:
    """Bounds of images that the model was not trained like are no reference."""
    other = runs.write_images(tmp_path / "other", 20, mode="L", size=(28, 28))

    with pytest.raises(DataError, match="not the images that digits was trained with"):
        add_reference(before.folder, str(other), overrides=[f"data.cache={tmp_path / 'cache'}"])


def test_another_split_is_refused(before: Bundle, tmp_path: Path) -> None:
    """Validation images that the model was trained on are none."""
    overrides = [f"data.cache={tmp_path / 'cache'}", "data.validation_share=0.5"]

    with pytest.raises(
        DataError,
        match=r"these settings give train: \d+ train, \d+ validation, 100 test, held back by",
    ):
        add_reference(before.folder, str(runs.MNIST), overrides=overrides)


def test_a_bundle_that_can_have_none_is_refused(tmp_path: Path) -> None:
    """Without a likelihood there are no bounds; without a bundle, nothing to add to."""
    without = arithmetic_bundle.write(tmp_path, likelihood=None)

    with pytest.raises(StageError, match="has no likelihood"):
        add_reference(without.folder, str(runs.MNIST))
    with pytest.raises(TrainingError, match="missing"):
        add_reference(tmp_path / "nowhere", str(runs.MNIST))


def test_the_shipped_model_has_all_that_can_be_added() -> None:
    """Its reference and its posterior means are of test images, and it has a card."""
    shipped = open_bundle(SHIPPED)
    manifest = shipped.manifest

    assert manifest.reference is not None
    assert manifest.posterior is not None
    assert (manifest.reference.split, manifest.reference.n) == ("test", 5000)
    assert (manifest.posterior.split, manifest.posterior.n) == ("test", 5000)
    assert shipped.card is not None
    assert shipped.card.startswith("# mnist, version 3")
    assert sum(path.stat().st_size for path in SHIPPED.iterdir()) < 12 * 1024**2
