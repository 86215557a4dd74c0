"""Assembles the bundle: the graphs, the golden batch and a manifest that says how they came to be.

The folder `bundles` of a workdir is a model repository that the service can be pointed at.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from model.bundle.bundle import (
    CARD,
    GOLDEN,
    Bundle,
    BundleError,
    open_bundle,
    write_bundle,
)
from model.bundle.golden import size_of
from model.bundle.manifest import (
    DataSpec,
    GoldenSpec,
    LatentSpec,
    Manifest,
    Metric,
    PosteriorSpec,
    PriorSpec,
    ReferenceSpec,
    WeightsSpec,
)
from model.bundle.posterior import POSTERIOR, parse_posterior
from model.bundle.reference import REFERENCE, parse_reference
from model.runtime import CPU, CUDA
from training.bundle.model_card import write_card
from training.config.run import TrainingConfig
from training.data.dataset import describe_split
from training.errors import StageError
from training.evaluation.sample_quality import DISTANCE
from training.export.graphs import graph_specs, read_export
from training.fit.calibration import to_likelihood
from training.text import plain
from training.workdir import Workdir

_RECIPE = {"optimiser", "epochs", "batch_size", "ema", "seed"}
"""Settings that the manifest states."""

TOLERANCES = {CPU: 1e-4, CUDA: 1e-3}
"""Largest difference from the golden batch, as a part of the output's largest value (at least
1). Logits reach ±100, where float32 itself resolves no better than 1e-5."""


def bundle(folder: Path, overrides: Sequence[str] = (), console: Console | None = None) -> Bundle:
    """Writes `<workdir>/bundles/<name>/<version>/`; one that is there and the same is left alone.

    Raises:
        StageError: a stage before has not run or its files are damaged, the version exists and is
            another, or the disk refuses.
    """
    workdir = Workdir(folder)
    config = workdir.read_config(overrides)
    exported = read_export(workdir)
    reference, bounds = _reference(workdir)
    posterior, means = _posterior(workdir, config)
    manifest = _manifest(
        config,
        run=workdir.read_json(
            workdir.run, "fit", git_commit=object, fingerprints=dict, pictures=dict
        ),
        exported=exported.about,
        measured=_measured(workdir, config),
        golden=exported.files[GOLDEN],
        reference=reference,
        posterior=posterior,
    )
    files = {
        **exported.files,
        REFERENCE: bounds,
        POSTERIOR: means,
        CARD: write_card(manifest),
    }
    if there := _same_bundle(workdir.bundles, manifest, files):
        shown = console or Console(stderr=True)
        shown.print(
            plain(f"{there.folder}: there already, and the same"), soft_wrap=True, highlight=False
        )
        return there
    try:
        return write_bundle(workdir.bundles, manifest, files)
    except BundleError as error:
        raise StageError(str(error)) from error


def golden_tolerance(golden: bytes) -> dict[str, dict[str, float]]:
    """By provider and output, from the size of the golden values."""
    with np.load(io.BytesIO(golden)) as arrays:
        sizes = {name: size_of(arrays[name]) for name in ("mean", "logvar", "pixels", "params")}
    return {
        provider: {name: float(f"{limit * size:.2g}") for name, size in sizes.items()}
        for provider, limit in TOLERANCES.items()
    }


def _measured(workdir: Workdir, config: TrainingConfig) -> dict[str, Any]:
    """The metrics of `evaluate`, and of `quality` if it is part of the run."""
    measured = workdir.read_json(workdir.metrics, "evaluate", metrics=dict)
    # Before there was a choice, all metrics were of test images.
    if (split := measured.get("split", "test")) != "test":
        raise StageError(
            f"{workdir.metrics}: has metrics of {split} images, but a bundle needs those of test "
            "images; run `vaetrain evaluate` on this workdir without evaluation.split"
        )
    if config.evaluation.quality != "none" and DISTANCE not in measured["metrics"]:
        raise StageError(
            f"{workdir.metrics}: has no metrics of samples; run `vaetrain quality` on this workdir"
        )
    return measured


def _reference(workdir: Workdir) -> tuple[ReferenceSpec, bytes]:
    """The description of the bounds and their file, as the stage `reference` wrote them."""
    with workdir.reading(workdir.reference_about, "reference") as path:
        spec = ReferenceSpec.model_validate_json(path.read_bytes())
    with workdir.reading(workdir.reference, "reference") as path:
        content = path.read_bytes()
        parse_reference(content, spec)
    return spec, content


def _posterior(workdir: Workdir, config: TrainingConfig) -> tuple[PosteriorSpec, bytes]:
    """The description of the means and their file, as the stage `latents` wrote them."""
    with workdir.reading(workdir.latents_about, "latents") as path:
        spec = PosteriorSpec.model_validate_json(path.read_bytes())
    with workdir.reading(workdir.latents, "latents") as path:
        content = path.read_bytes()
        parse_posterior(content, spec, config.model.latent_shape)
    return spec, content


def _same_bundle(root: Path, manifest: Manifest, files: Mapping[str, bytes]) -> Bundle | None:
    """The existing bundle, if a new one would differ only in its time and software."""
    try:
        there = open_bundle(root / manifest.name / str(manifest.version))
        contents = {name: there.read(name) for name in there.manifest.files}
    except BundleError:
        return None
    asides = {"created", "git_commit", "tools", "files"}
    before, now = (
        one.model_dump(mode="json", exclude=asides) for one in (there.manifest, manifest)
    )
    return there if contents == files and before == now else None


def _manifest(
    config: TrainingConfig,
    *,
    run: Mapping[str, Any],
    exported: Mapping[str, Any],
    measured: Mapping[str, Any],
    golden: bytes,
    reference: ReferenceSpec,
    posterior: PosteriorSpec,
) -> Manifest:
    model, split = config.model, config.data.train_split
    encoder, decoder = graph_specs(model.image_shape, model.latent_shape)
    return Manifest(
        name=config.bundle.name,
        version=config.bundle.version,
        created=datetime.now(UTC),
        git_commit=run["git_commit"],
        tools=run["tools"],
        opset=exported["opset"],
        input=config.input,
        preprocessing=config.preprocessing,
        latent=LatentSpec(shape=model.latent_shape),
        encoder=encoder,
        decoder=decoder,
        likelihood=to_likelihood(model, exported["scale"]),
        prior=PriorSpec.model_validate(model.prior.model_dump()),
        objective=_objective(config, run),
        network=model.network.model_dump(mode="json", exclude={"folder"}),
        weights=WeightsSpec.model_validate(exported["weights"]),
        data=DataSpec(
            id=config.data.id or run["data_id"],
            revision=config.data.revision,
            licence=config.data.licence,
            fingerprint=run["fingerprints"][split],
            split=describe_split(split, run["pictures"], run["fingerprints"]),
        ),
        metrics={n: Metric.model_validate(value) for n, value in measured["metrics"].items()},
        kl_per_dimension=measured["kl_per_dimension"],
        golden=GoldenSpec(tolerance=golden_tolerance(golden)),
        reference=reference,
        posterior=posterior,
        licence=config.bundle.licence,
        card=config.bundle.card.strip(),
    )


def _objective(config: TrainingConfig, run: Mapping[str, Any]) -> dict[str, Any]:
    augment = config.data.augment
    return {
        "name": "elbo" if config.objective.samples == 1 else "importance-weighted bound",
        **config.objective.model_dump(mode="json"),
        "tuning": config.tuning.model_dump(mode="json") if config.tuning.epochs else None,
        **({"augment": augment.model_dump(mode="json")} if augment.is_on else {}),
        **config.model_dump(mode="json", include=_RECIPE),
        **{name: run[name] for name in ("steps", "seconds", "device", "threads", "precision")},
        "cpu_seconds": run.get("cpu_seconds"),  # older runs did not measure it
        # Absent where weights began at random, as in bundles from before.
        **({"init": run["init"]} if run.get("init") else {}),
    }
