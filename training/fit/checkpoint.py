"""Checkpoints: the whole state of a run in one file that is replaced atomically."""

from __future__ import annotations

import io
import json
import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from pydantic import ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from training.config.overrides import Override, apply_overrides
from training.config.run import TrainingConfig
from training.errors import ConfigError, StageError
from training.workdir import Workdir, write_atomic

_AS_TEXT = "model.network.options"
"""The setting that `TrainingConfig.identity` stores as JSON text."""


@dataclass
class Checkpoint:
    """A run after `step` steps."""

    step: int
    seconds: float
    """Time spent so far."""
    cpu_seconds: float
    """Processor time spent so far, of all threads."""
    model: dict[str, Tensor]
    ema: dict[str, Tensor]
    optimiser: dict[str, Any]
    totals: Tensor
    health: dict[str, Any]
    best_bound: float
    """For early stopping, as the next three: the best epoch so far and its weights."""
    best_epoch: int
    best_step: int
    best_weights: dict[str, Tensor]
    identity: dict[str, Any]
    """The settings that the run depends on, by dotted key."""
    fingerprints: dict[str, str]
    """The images', by split."""
    initial: str = ""
    """SHA-256 of the initial weights; empty if they were random."""


def write_checkpoint(workdir: Workdir, checkpoint: Checkpoint) -> None:
    """Writes the checkpoint atomically, so that a run killed meanwhile keeps the previous one.

    Raises:
        DiskError: the write failed; the previous checkpoint is kept.
    """
    # Through memory, because torch hides the OSError of a file that it writes to.
    buffer = io.BytesIO()
    # Not dataclasses.asdict, which would copy every tensor.
    torch.save(vars(checkpoint), buffer)
    write_atomic(workdir.checkpoint, lambda file: file.write(buffer.getbuffer()))


def read_checkpoint(
    workdir: Workdir, config: TrainingConfig, fingerprints: Mapping[str, str], initial: str = ""
) -> Checkpoint:
    """Reads the checkpoint of a run with this configuration, these images and this start.

    Raises:
        ConfigError: it belongs to another configuration, other images or other weights to start
            from; names what differs.
        StageError: the file is damaged, or of another version that saved other values.
    """
    path = workdir.checkpoint
    try:
        checkpoint = Checkpoint(**torch.load(path, map_location="cpu", weights_only=True))
    except TypeError as error:
        raise StageError(
            f"{path}: written by another version, so this one can't resume it: train again in "
            "another workdir, or continue with the version that began the run"
        ) from error
    except (OSError, RuntimeError, EOFError, ValueError, pickle.UnpicklingError) as error:
        raise StageError(f"{path}: not a readable checkpoint: {error}") from error
    now = config.identity()
    before = _with_newer_settings(checkpoint.identity, now)
    differing = [
        f"{key} ({before.get(key)!r} then, {now.get(key)!r} now)"
        for key in sorted(now)  # what an older version wrote besides decides nothing now
        if before.get(key) != now.get(key)
    ]
    if checkpoint.fingerprints != dict(fingerprints):
        differing.append("the images")
    if checkpoint.initial != initial:
        differing.append("the weights that it started from (--init)")
    if differing:
        raise ConfigError(
            f"{path}: belongs to a run with other settings, so it can't be resumed with these: "
            f"{'; '.join(differing)}. Set them back, or use another workdir."
        )
    return checkpoint


def _with_newer_settings(identity: Mapping[str, Any], now: Mapping[str, object]) -> dict[str, Any]:
    """The settings of a run, with defaults for settings that its version did not have."""
    document: dict[str, Any] = {}
    known = {
        key: json.loads(value) if key == _AS_TEXT else value
        for key, value in identity.items()
        if key in now
    }
    apply_overrides(document, [Override(key, value, key) for key, value in known.items()])
    try:
        return {**TrainingConfig.model_validate(document).identity(), **identity}
    except ValidationError:
        return dict(identity)


@dataclass(frozen=True)
class Weights:
    """The weights that are exported."""

    tensors: Mapping[str, Tensor]
    kind: str
    """`ema` or `raw`."""
    step: int


def write_weights(workdir: Workdir, weights: Weights) -> None:
    """Writes the weights in the safetensors format, as a whole."""
    about = {"kind": weights.kind, "step": str(weights.step)}
    tensors = {name: tensor.contiguous() for name, tensor in weights.tensors.items()}
    content = save_tensors(tensors, about)
    write_atomic(workdir.weights, lambda file: file.write(content))


def read_weights(workdir: Workdir) -> Weights:
    """Reads what `write_weights` wrote.

    Raises:
        StageError: `fit` has not finished on this workdir, or the file is damaged.
    """
    path = workdir.require(workdir.weights, "fit")
    try:
        with safe_open(path, framework="pt") as file:
            about = file.metadata()
        return Weights(load_tensors(path.read_bytes()), about["kind"], int(about["step"]))
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        msg = f"{path}: not readable weights ({error}); write them again with fit --resume"
        raise StageError(msg) from error
