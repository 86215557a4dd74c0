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
from typing import Any

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from pydantic import TypeAdapter, ValidationError
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
from model.config import ModelConfig, NetworkConfig
from model.networks.vae import VAE
from model.prior.learned import mixture_parameters
from training.config.overrides import flatten
from training.errors import ConfigError, TrainingError
from training.fit.checkpoint import read_weights
from training.workdir import Workdir

GOLDEN_LIMIT = 1e-3
"""Largest difference from the golden batch, as a part of the output's largest value (at least 1):
torch may compute it on another processor than the one that wrote it."""

_NETWORK: TypeAdapter[NetworkConfig] = TypeAdapter(NetworkConfig)
_NETWORKS = ("encoder.", "decoder.")
_PRIOR = "prior."


@dataclass(frozen=True)
class Initial:
    """Weights to start from, and what they are of."""

    source: Path
    weights: Mapping[str, Tensor]
    """By the VAE's names."""
    about: Mapping[str, object]
    """For the manifest: `kind`, `sha256`, and a bundle's `name` and `version`."""
    scale: Scale | None = None
    """The likelihood's, where `weights` have none."""
    golden: Mapping[str, np.ndarray[Any, np.dtype[np.float32]]] | None = None
    """A bundle's golden batch."""

    @property
    def sha256(self) -> str:
        """Of the bundle's manifest, which holds the hashes of its files, or of the weights."""
        return str(self.about["sha256"])

    def put_into(self, vae: VAE) -> None:
        """Gives a VAE on the CPU these weights; what else it learns, such as a scale or a prior
        that these have not, keeps its values.

        Raises:
            ConfigError: a weight of the networks is missing, one of theirs or of the prior is left
                over or of another shape, or the golden batch does not come out.
        """
        wanted = vae.state_dict()
        networks = [name for name in wanted if name.startswith(_NETWORKS)]
        learned = (*_NETWORKS, _PRIOR)
        left = [name for name in self.weights if name.startswith(learned) and name not in wanted]
        if missing := [name for name in networks if name not in self.weights]:
            msg = f"{self.source}: has no weights named {_listed(missing)}"
            raise ConfigError(msg)
        # A graph has constants of its own beside the weights, and a golden batch to vouch for them.
        if left and self.golden is None:
            msg = f"{self.source}: has weights that this model has not: {_listed(left)}"
            raise ConfigError(msg)
        fitting = {
            name: tensor
            for name, tensor in self.weights.items()
            if name in wanted and tensor.shape == wanted[name].shape
        }
        given = [name for name in wanted if name.startswith(learned) and name in self.weights]
        if odd := [name for name in given if name not in fitting]:
            there, here = list(self.weights[odd[0]].shape), list(wanted[odd[0]].shape)
            msg = f"{self.source}: {odd[0]} is {there} there and {here} here"
            raise ConfigError(msg)
        vae.load_state_dict({**wanted, **fitting})
        if self.scale is not None:
            vae.start_scale(self.scale)
        self._check_golden(vae)

    @torch.no_grad()
    def _check_golden(self, vae: VAE) -> None:
        if self.golden is None:
            return
        golden = self.golden
        try:
            mean, logvar = vae.encoder(torch.from_numpy(golden["image"]))
            _, params = vae.decoder(torch.from_numpy(golden["latent"]))
        except (RuntimeError, ValueError) as error:
            msg = f"{self.source}: its golden batch has other shapes than this network's: {error}"
            raise ConfigError(msg) from error
        for name, found in (("mean", mean), ("logvar", logvar), ("params", params)):
            try:
                limit = GOLDEN_LIMIT * size_of(golden[name])
                compare(found.numpy(), golden[name], limit, "its golden batch")
            except ValueError as error:
                msg = f"{self.source}: with its weights {name} {error}, so this is another network"
                raise ConfigError(msg) from error


def read_initial(source: Path, model: ModelConfig) -> Initial:
    """Reads a bundle's folder, a workdir after `fit`, or a safetensors file.

    Raises:
        ConfigError: it is none of them, is damaged, or is of another model than `model`.
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
        msg = f"--init {source}: is no bundle, workdir or safetensors file to start from: {error}"
        raise ConfigError(msg) from error


def graph_weights(content: bytes) -> dict[str, Tensor]:
    """The constants of a serialised graph by name: those of weights are torch's.

    Raises:
        ConfigError: it is no graph, or has constants that torch does not know.
    """
    try:
        graph = onnx.load_model_from_string(content).graph
        return {
            one.name: torch.from_numpy(numpy_helper.to_array(one).copy())
            for one in graph.initializer
        }
    # The errors of protobuf, onnx and torch share no other base.
    except Exception as error:
        msg = f"not a graph whose weights can be read: {error}"
        raise ConfigError(msg) from error


def _of_bundle(source: Path, model: ModelConfig) -> Initial:
    bundle = open_bundle(source)
    manifest = bundle.manifest
    _compare(source, _described(source, manifest), model)
    return Initial(
        source,
        _bundle_weights(bundle),
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
    _compare(source, _model_document(workdir.read_config().model), model)
    return Initial(source, weights.tensors, _about_weights(workdir.weights.read_bytes()))


def _about_weights(content: bytes) -> dict[str, object]:
    return {"kind": "weights", "sha256": hashlib.sha256(content).hexdigest()}


def _bundle_weights(bundle: Bundle) -> dict[str, Tensor]:
    """The constants of both graphs, those of weights under the VAE's names, and the prior's."""
    networks = {
        f"{network}.{name}": tensor
        for network, file in (("encoder", ENCODER), ("decoder", DECODER))
        for name, tensor in _graph_weights(bundle, file).items()
    }
    prior = mixture_parameters(bundle.mixture) if bundle.mixture else {}
    return {**networks, **{f"{_PRIOR}{name}": tensor for name, tensor in prior.items()}}


def _graph_weights(bundle: Bundle, file: str) -> dict[str, Tensor]:
    try:
        return graph_weights(bundle.read(file))
    except ConfigError as error:
        msg = f"{bundle.folder / file}: {error}"
        raise ConfigError(msg) from error


def _described(source: Path, manifest: Manifest) -> dict[str, object]:
    try:
        network = _NETWORK.validate_python(manifest.network)
    except ValidationError as error:
        msg = f"{source}: its manifest describes no network that is trained here"
        raise ConfigError(msg) from error
    if manifest.likelihood is None:
        msg = f"{source}: its manifest states no likelihood, so it was not trained here"
        raise ConfigError(msg)
    taken = manifest.input
    return {
        "channels": taken.channels,
        "height": taken.height,
        "width": taken.width,
        "latent": list(manifest.latent.shape),
        "likelihood.family": manifest.likelihood.family,
        **_prior_document(manifest.prior.family, manifest.prior.components),
        **_network_document(network),
    }


def _model_document(model: ModelConfig) -> dict[str, object]:
    return {
        "channels": model.channels,
        "height": model.height,
        "width": model.width,
        "latent": list(model.latent_shape),
        "likelihood.family": model.likelihood.family,
        **_prior_document(model.prior.family, getattr(model.prior, "components", None)),
        **_network_document(model.network),
    }


def _prior_document(family: str, components: int | None) -> dict[str, object]:
    return {"prior.family": family, "prior.components": components}


def _network_document(network: NetworkConfig) -> dict[str, object]:
    """What makes the network; of one's own file the golden batch tells, not a hash."""
    where = {"folder", "source_sha256"}
    return flatten({"network": network.model_dump(mode="json", exclude=where)})


def _compare(source: Path, there: Mapping[str, object], model: ModelConfig) -> None:
    here = _model_document(model)
    if there.get("prior.family") == "normal":
        # A mixture begins near N(0, I), so it can take over from there with values of its own.
        there = {**there, **{key: here[key] for key in here if key.startswith(_PRIOR)}}
    differing = [
        f"{key} ({there.get(key)!r} there, {here.get(key)!r} here)"
        for key in sorted(there.keys() | here.keys())
        if there.get(key) != here.get(key)
    ]
    if differing:
        msg = f"{source}: is of another model, so it is no start for this one: "
        raise ConfigError(msg + "; ".join(differing))


def _listed(names: list[str]) -> str:
    shown = 3
    return ", ".join(names[:shown]) + (f" and {len(names) - shown} more" if names[shown:] else "")
