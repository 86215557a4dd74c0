"""Where a run's weights start from: a bundle, the workdir of a run, or a file of weights.

A bundle holds graphs and no checkpoint, but export keeps the names of the weights in them. That
they are the same model's is seen from the manifest, from every name and shape, and from the
golden batch, which the network must reproduce before it is trained on.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import onnx
import torch
from onnx import numpy_helper
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from torch import Tensor

from model.bundle.bundle import (
    DECODER,
    ENCODER,
    MANIFEST,
    Bundle,
    BundleError,
    manifest_bytes,
    open_bundle,
)
from model.bundle.golden import compare, read_golden, size_of
from model.bundle.manifest import Manifest, Scale
from model.config import ModelConfig
from model.networks.vae import VAE
from model.pixels import Floats
from model.prior.learned import mixture_parameters
from training.config.overrides import flatten
from training.errors import ConfigError, TrainingError
from training.fit.checkpoint import read_weights
from training.workdir import Workdir

GOLDEN_LIMIT = 1e-3
"""Largest difference from the golden batch, as a part of the output's largest value (at least 1):
torch may compute it on another processor than the one that wrote it."""

_NETWORKS = ("encoder.", "decoder.")
_PRIOR = "prior."
_SHOWN = 5
"""Differences that an error names."""


@dataclass(frozen=True)
class Initial:
    """Initial weights, and the model that they are from."""

    source: Path
    weights: Mapping[str, Tensor]
    """By the VAE's names."""
    about: Mapping[str, object]
    """For the manifest: `kind`, `sha256`, and a bundle's `name` and `version`."""
    scale: Scale | None = None
    """The likelihood's scale, if `weights` have none."""
    golden: Mapping[str, Floats] | None = None
    """A bundle's golden batch."""

    @property
    def sha256(self) -> str:
        """Of the bundle's manifest, which holds the hashes of its files, or of the weights."""
        return str(self.about["sha256"])

    def put_into(self, vae: VAE) -> None:
        """Gives a VAE on the CPU these weights; what else it learns, such as a scale or a prior
        that these lack, keeps its values.

        Raises:
            ConfigError: a weight of the networks is missing, one of theirs or of the prior is left
                over or of another shape, or the golden batch does not come out.
        """
        own = vae.state_dict()
        # A graph has other constants beside the weights, and a golden batch to vouch for them.
        known = {
            name: tensor
            for name, tensor in self.weights.items()
            if name in own or self.golden is None
        }
        there, here = (
            {
                name: list(tensor.shape)
                for name, tensor in tensors.items()
                if name.startswith(_NETWORKS) or (name.startswith(_PRIOR) and name in known)
            }
            for tensors in (known, own)
        )
        _require_equal(f"{self.source}: has other weights than this model", there, here)
        fitting = {
            name: tensor
            for name, tensor in known.items()
            if name in own and tensor.shape == own[name].shape
        }
        vae.load_state_dict(fitting, strict=False)
        if self.scale is not None:
            vae.start_scale(self.scale)
        if self.golden is not None:
            self._check_golden(vae, self.golden)

    @torch.no_grad()
    def _check_golden(self, vae: VAE, golden: Mapping[str, Floats]) -> None:
        try:
            mean, logvar = vae.encoder(torch.from_numpy(golden["image"]))
            _, params = vae.decoder(torch.from_numpy(golden["latent"]))
            for name, found in (("mean", mean), ("logvar", logvar), ("params", params)):
                limit = GOLDEN_LIMIT * size_of(golden[name])
                compare(found.numpy(), golden[name], limit, f"its {name}")
        except (RuntimeError, ValueError) as error:
            msg = f"{self.source}: is of another network, by its golden batch: {error}"
            raise ConfigError(msg) from error


def read_initial(source: Path, model: ModelConfig) -> Initial:
    """Reads a bundle's folder, a workdir after `fit`, or a safetensors file.

    Raises:
        ConfigError: `source` is something else, is damaged, or is of another model than `model`.
    """
    try:
        if (source / MANIFEST).exists():
            return _of_bundle(source, model)
        if source.is_dir():
            return _of_workdir(source, model)
        content = source.read_bytes()
        return Initial(source, load_tensors(content), _about_weights(content))
    # A ValueError: a path that holds a NUL.
    except (OSError, ValueError, SafetensorError, BundleError, TrainingError) as error:
        if isinstance(error, ConfigError):
            raise
        msg = f"--init {source}: not a readable bundle, workdir or safetensors file: {error}"
        raise ConfigError(msg) from error


def graph_weights(bundle: Bundle, file: str) -> dict[str, Tensor]:
    """The constants of a bundle's graph by name: those of weights are torch's.

    Raises:
        BundleError: the file is not the manifest's.
        ConfigError: it is not a graph, or has constants of types that torch lacks.
    """
    content = bundle.read(file)
    try:
        graph = onnx.load_model_from_string(content).graph
        return {
            one.name: torch.from_numpy(numpy_helper.to_array(one).copy())
            for one in graph.initializer
        }
    # The errors of protobuf, onnx and torch share no other base.
    except Exception as error:
        msg = f"{bundle.folder / file}: the graph's weights can't be read: {error}"
        raise ConfigError(msg) from error


def _of_bundle(source: Path, model: ModelConfig) -> Initial:
    bundle = open_bundle(source)
    manifest = bundle.manifest
    _require_start(source, _described(source, manifest), model)
    weights = {
        f"{network}.{name}": tensor
        for network, file in (("encoder", ENCODER), ("decoder", DECODER))
        for name, tensor in graph_weights(bundle, file).items()
    }
    prior = mixture_parameters(bundle.mixture) if bundle.mixture else {}
    return Initial(
        source,
        weights | {f"{_PRIOR}{name}": tensor for name, tensor in prior.items()},
        {
            "kind": "bundle",
            "name": manifest.name,
            "version": manifest.version,
            "sha256": hashlib.sha256(manifest_bytes(source)).hexdigest(),
        },
        scale=manifest.likelihood.scale if manifest.likelihood else None,
        golden=read_golden(bundle),
    )


def _of_workdir(source: Path, model: ModelConfig) -> Initial:
    workdir = Workdir(source)
    weights = read_weights(workdir)
    _require_start(source, workdir.read_config().model, model)
    return Initial(source, weights.tensors, _about_weights(workdir.weights.read_bytes()))


def _about_weights(content: bytes) -> dict[str, object]:
    return {"kind": "weights", "sha256": hashlib.sha256(content).hexdigest()}


def _described(source: Path, manifest: Manifest) -> ModelConfig:
    """The model that a bundle's manifest describes."""
    shape = manifest.latent.shape
    try:
        return ModelConfig.model_validate(
            {
                **manifest.input.model_dump(include={"channels", "height", "width"}),
                "latent_dim": shape[0],
                "latent_map": shape if len(shape) > 1 else None,
                "network": manifest.network,
                "likelihood": manifest.likelihood and {"family": manifest.likelihood.family},
                "prior": manifest.prior.model_dump(exclude_none=True),
            }
        )
    except ValidationError as error:
        msg = f"{source}: its manifest does not describe a trainable network"
        raise ConfigError(msg) from error


def _require_start(source: Path, there: ModelConfig, here: ModelConfig) -> None:
    """Raises a ConfigError if weights of the model `there` are no start for `here`."""
    theirs, ours = _document(there), _document(here)
    if there.prior.family == "normal":
        # A mixture begins near N(0, I), so it can take over from there with its own values.
        theirs |= {key: ours[key] for key in ours if key.startswith(_PRIOR)}
    _require_equal(f"{source}: is of another model, so this one can't start from it", theirs, ours)


def _document(model: ModelConfig) -> dict[str, object]:
    """What defines the model; a custom network is compared by its golden batch, not a hash."""
    whole = model.model_dump(
        mode="json",
        include={"channels", "height", "width", "network", "prior"},
        exclude={"network": {"folder", "source_sha256"}},
    )
    likelihood = {"family": model.likelihood.family}
    return flatten({**whole, "latent": list(model.latent_shape), "likelihood": likelihood})


def _require_equal(what: str, there: Mapping[str, object], here: Mapping[str, object]) -> None:
    differing = [
        f"{key} ({there.get(key)!r} there, {here.get(key)!r} here)"
        for key in sorted(there.keys() | here.keys())
        if there.get(key) != here.get(key)
    ]
    if differing:
        more = f" and {len(differing) - _SHOWN} more" if differing[_SHOWN:] else ""
        raise ConfigError(f"{what}: {'; '.join(differing[:_SHOWN])}{more}")
