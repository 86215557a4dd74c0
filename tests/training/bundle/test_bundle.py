"""The bundle of a run opens, runs and says where it comes from."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from model.bundle.bundle import DECODER, ENCODER, GOLDEN, MANIFEST, open_bundle
from model.bundle.reference import write_reference
from model.runtime import CPU, CUDA, Graph
from tests.training import runs
from training.bundle.bundle import bundle, golden_tolerance
from training.errors import StageError
from training.evaluation.sample_quality import quality
from training.workdir import Workdir, read_json, write_json


def test_the_bundle_opens_and_runs(finished: Workdir) -> None:
    """Every file matches its hash, and its graphs reproduce its golden batch."""
    opened = open_bundle(finished.bundles / "digits" / "1")
    tolerance = opened.manifest.golden.tolerance[CPU]
    with np.load(io.BytesIO(opened.read(GOLDEN))) as golden:
        for graph, given in ((ENCODER, "image"), (DECODER, "latent")):
            session = Graph(opened.read(graph))
            for (name, _, _), output in zip(
                session.outputs, session.run(golden[given]), strict=True
            ):
                assert np.abs(output - golden[name]).max() <= tolerance[name]


def test_the_manifest_tells_everything(finished: Workdir) -> None:
    """Input, latent, likelihood, data, weights and figures are those of the run."""
    manifest = open_bundle(finished.bundles / "digits" / "1").manifest
    run = read_json(finished.run)

    assert (manifest.name, manifest.version, manifest.opset) == ("digits", 1, 20)
    assert (manifest.input.height, manifest.input.order) == (28, "L")
    assert manifest.latent.shape == (4,)
    assert [spec.name for spec in manifest.decoder.outputs] == ["pixels", "params"]
    assert manifest.encoder.inputs[0].shape == (1, 28, 28)
    assert manifest.likelihood is not None
    assert manifest.likelihood.binarise == "sample"
    assert manifest.likelihood.dimensions == 784
    assert (manifest.weights.kind, manifest.weights.step) == ("ema", 120)
    assert manifest.data.id == "mnist"
    assert manifest.data.fingerprint == run["fingerprints"]["train"]
    assert manifest.git_commit == run["git_commit"]
    assert manifest.objective["seed"] == 0
    assert manifest.metrics["bound"].samples == 5
    assert len(manifest.kl_per_dimension) == 4


def test_the_bundle_says_nothing_of_this_machine(finished: Workdir, tmp_path: Path) -> None:
    """No path of the training machine is in any of its files."""
    for path in (finished.bundles / "digits" / "1").iterdir():
        assert str(runs.ROOT).encode() not in path.read_bytes()
        assert str(tmp_path.parent).encode() not in path.read_bytes()


def test_a_folder_that_is_gone_leaves_no_path(copied: Workdir) -> None:
    """The images are called as `fit` saw them, even if their folder has moved since."""
    config = read_json(copied.config)
    config["data"]["source"] = "~/nowhere/secret"
    config["bundle"]["version"] = 3
    write_json(copied.config, config)

    written = bundle(copied.folder)

    assert written.manifest.data.id == "mnist"
    assert b"nowhere" not in (written.folder / MANIFEST).read_bytes()


def test_figures_of_validation_images_are_not_published(copied: Workdir) -> None:
    """A bundle's figures are those of test images; others are refused with what to run."""
    write_json(copied.metrics, {**read_json(copied.metrics), "split": "validation"})

    with pytest.raises(
        StageError, match=r"has metrics of validation images, .*run `vaetrain evaluate`"
    ):
        bundle(copied.folder)


def test_a_version_is_written_once(copied: Workdir) -> None:
    """A version that exists with other content is refused; another is written beside it."""
    before = (copied.bundles / "digits" / "1" / MANIFEST).read_bytes()

    with pytest.raises(StageError, match="choose another version"):
        bundle(copied.folder, ["bundle.licence=CC0-1.0"])
    second = bundle(copied.folder, ["bundle.version=2", "bundle.licence=CC0-1.0"])

    assert (copied.bundles / "digits" / "1" / MANIFEST).read_bytes() == before
    assert second.manifest.version == 2
    assert second.manifest.licence == "CC0-1.0"


def test_the_same_bundle_again_is_no_mistake(copied: Workdir) -> None:
    """A stage that is run again finds its bundle, says so and leaves it as it is."""
    path = copied.bundles / "digits" / "1" / MANIFEST
    before = path.read_bytes()
    said = Console(file=io.StringIO())

    again = bundle(copied.folder, console=said)

    assert again.folder == path.parent
    assert path.read_bytes() == before
    assert "there already, and the same" in said.file.getvalue()  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", ["decoder.onnx", "golden.npz"])
def test_another_graph_is_another_bundle(copied: Workdir, name: str) -> None:
    """If a file came out differently, or the one there is damaged, the version is refused."""
    path = copied.bundles / "digits" / "1" / name
    path.write_bytes(path.read_bytes() + b"x")

    with pytest.raises(StageError, match="choose another version"):
        bundle(copied.folder)


@pytest.mark.parametrize(
    ("missing", "stage"),
    [
        ("encoder.onnx", "export"),
        ("export.json", "export"),
        ("metrics.json", "evaluate"),
        ("reference.npz", "reference"),
        ("run.json", "fit"),
    ],
)
def test_a_missing_stage_is_named(copied: Workdir, missing: str, stage: str) -> None:
    """Without a stage's files the error says which to run."""
    (copied.folder / missing).unlink()

    with pytest.raises(StageError, match=f"run `vaetrain {stage}`"):
        bundle(copied.folder)


@pytest.mark.parametrize(
    ("family", "exported", "scale", "levels"),
    [("gaussian", 0.0625, 0.0625, None), ("logistic", [0.0625], (0.0625,), 256)],
)
def test_a_learned_scale_reaches_the_manifest(
    copied: Workdir, family: str, exported: object, scale: object, levels: int | None
) -> None:
    """The scale in the manifest is the exported weights', and a logistic's levels are beside it."""
    config = read_json(copied.config)
    config["model"]["likelihood"] = {"family": family}
    config["bundle"]["version"] = 3
    config["data"] |= {"id": "owner/set", "licence": "CC0-1.0"}
    write_json(copied.config, config)
    write_json(copied.export, read_json(copied.export) | {"scale": exported})
    about = read_json(copied.reference_about) | {"n": 2, "binarised": ["none"]}
    write_json(copied.reference_about, about)
    copied.reference.write_bytes(write_reference({"none": np.array([-2.0, -1.0])}))

    manifest = bundle(copied.folder).manifest

    assert manifest.likelihood is not None
    assert (manifest.likelihood.family, manifest.likelihood.scale) == (family, scale)
    assert manifest.likelihood.levels == levels
    assert manifest.likelihood.binarise is None
    assert (manifest.data.id, manifest.data.licence) == ("owner/set", "CC0-1.0")


def test_tolerances_follow_the_size_of_the_outputs() -> None:
    """Outputs up to 1 get the base tolerance; larger ones get it relative to their peak."""
    arrays = {
        "mean": np.array([[3.0]]), "logvar": np.array([[-0.5]]),
        "pixels": np.array([[1.0]]), "params": np.array([[-80.0]]),
    }  # fmt: skip
    buffer = io.BytesIO()
    np.savez(buffer, **{name: array.astype(np.float32) for name, array in arrays.items()})  # type: ignore[arg-type]

    tolerance = golden_tolerance(buffer.getvalue())

    assert tolerance[CPU] == {"mean": 3e-4, "logvar": 1e-4, "pixels": 1e-4, "params": 8e-3}
    assert tolerance[CUDA] == {"mean": 3e-3, "logvar": 1e-3, "pixels": 1e-3, "params": 8e-2}


def test_figures_of_samples_are_in_the_bundle_where_they_are_part_of_the_run(
    copied: Workdir,
) -> None:
    """A run that is to have them gets no bundle without."""
    overrides = ["bundle.version=5", "evaluation.quality=mnist"]
    with pytest.raises(StageError, match="run `vaetrain quality`"):
        bundle(copied.folder, overrides)
    quality(copied.folder, console=runs.QUIET, samples=40)

    written = bundle(copied.folder, overrides)

    assert written.manifest.metrics["sample_frechet_distance"].n == 40


def test_augmentation_is_told(copied: Workdir) -> None:
    """The manifest says how training images were varied, where they were."""
    document = read_json(copied.config)
    augment = {"flip": 0.5, "shift": 1}
    write_json(copied.config, {**document, "data": {**document["data"], "augment": augment}})

    varied = bundle(copied.folder, ["bundle.version=2"], console=runs.QUIET).manifest

    assert varied.objective["augment"] == augment
    assert "augment" not in open_bundle(copied.bundles / "digits" / "1").manifest.objective
