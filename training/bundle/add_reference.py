"""Adds measurements on held-out images to a bundle, as a new version without training."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from model.bundle.bundle import CARD, Bundle, BundleError, write_bundle
from model.bundle.manifest import LikelihoodSpec, Manifest
from model.bundle.posterior import POSTERIOR
from model.bundle.reference import REFERENCE
from model.config import BernoulliConfig, GaussianConfig, LikelihoodConfig, ModelConfig
from training.bundle.model_card import write_card
from training.config.data import DataConfig
from training.config.overrides import Override
from training.config.presets import override_config
from training.config.run import TrainingConfig
from training.data.dataset import Data, describe_split, load_data
from training.errors import DataError, StageError
from training.evaluation.posterior_means import encode_held_out
from training.evaluation.reference_bounds import measure_reference
from training.evaluation.sample_quality import measure_quality
from training.export.graphs import open_graphs


def add_reference(
    folder: Path,
    source: str,
    *,
    root: Path | None = None,
    version: int | None = None,
    overrides: Sequence[str | Override] = (),
    console: Console | None = None,
) -> Bundle:
    """Writes a bundle like the one in `folder`, with the same graphs, and with a reference,
    posterior means and a card; where `evaluation.quality` is set, also with metrics of samples.

    Args:
        folder: the bundle.
        source: the images that its model was trained on, as `--data` of a run.
        root: where `<name>/<version>/` is written; by default beside the bundle.
        version: of the new bundle; by default one more than the bundle's.
        overrides: settings such as `data.validation_share` that the run had.
        console: for progress.

    Raises:
        DataError: the images are not those of the bundle, or split otherwise.
        StageError: the bundle can't be read, has no likelihood or not the range of values that is
            trained here, or can't be written.
    """
    bundle, graphs = open_graphs(folder)
    files = {name: bundle.read(name) for name in bundle.manifest.files}
    manifest = bundle.manifest
    likelihood = manifest.likelihood
    if likelihood is None:
        raise StageError(f"{folder}: its model has no likelihood, so there are no bounds to store")
    config = override_config(_config(manifest, likelihood, source), overrides)
    data = load_data(config)
    _check_images(manifest, data, config)
    reference, bounds = measure_reference(graphs, likelihood, data, config, console)
    posterior, means = encode_held_out(graphs, data, config)
    metrics = dict(manifest.metrics)
    if config.evaluation.quality != "none":
        metrics |= measure_quality(graphs.decoder, data, config, mixture=graphs.mixture)
    changes = {
        "version": version or manifest.version + 1,
        "reference": reference,
        "posterior": posterior,
        "metrics": metrics,
    }
    whole = Manifest.model_validate(manifest.model_dump() | changes)
    files |= {REFERENCE: bounds, POSTERIOR: means, CARD: write_card(whole)}
    try:
        return write_bundle(root or folder.resolve().parent.parent, whole, files)
    except BundleError as error:
        raise StageError(str(error)) from error


def _config(manifest: Manifest, likelihood: LikelihoodSpec, source: str) -> TrainingConfig:
    """The settings that decide how images are read, without networks and optimisers."""
    # Of the likelihood, only whether images must be binary matters to how they are read.
    family: LikelihoodConfig = GaussianConfig()
    if likelihood.likelihood.is_binary:
        family = BernoulliConfig(binarise=likelihood.binarise or "none")
    taken = manifest.input
    model = ModelConfig(
        channels=taken.channels,
        height=taken.height,
        width=taken.width,
        latent_dim=math.prod(manifest.latent.shape),
        likelihood=family,
    )
    background = manifest.preprocessing.background
    return TrainingConfig(model=model, data=DataConfig(source=source, background=background))


def _check_images(manifest: Manifest, data: Data, config: TrainingConfig) -> None:
    if data.fingerprints[config.data.train_split] != manifest.data.fingerprint:
        msg = f"{config.data.source}: not the images that {manifest.name} was trained with"
        raise DataError(msg)
    split = describe_split(config.data.train_split, data.counts(), data.fingerprints)
    if split != manifest.data.split:
        raise DataError(
            f"the model was trained with {manifest.data.split}; these settings give {split}: "
            "set data.validation_share and data.test_share as they were"
        )
