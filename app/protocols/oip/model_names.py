"""The models of the protocol: each bundle is three of them, named by what they compute.

    <bundle>-encoder       image → mean, logvar
    <bundle>-decoder       latent → pixels, params
    <bundle>-reconstruct   image → pixels, mean, logvar

Every tensor is FP32; images are as the graphs have them, [n, c, h, w] in the manifest's range.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, cast

from app.errors import UnknownModelError
from model.bundle.manifest import DERIVED_KINDS, VERSION_PATTERN, Manifest

Kind = Literal["encoder", "decoder", "reconstruct"]
Shape = tuple[int, ...]

PROGRAMS: dict[Kind, str] = {
    "encoder": "encode_tensors",
    "decoder": "decode_tensors",
    "reconstruct": "reconstruct_tensors",
}
"""The engine's program behind each kind of model.

`encode_tensors` computes what `encode_floats` does in a separate batcher, so requests of the Remote
VAE protocol do not count in the statistics.
"""

VARIABLE = -1
"""The size of an axis that may have any length."""

_LONGEST_SHOWN = 80
_MOST_SHOWN = 12


@dataclass(frozen=True, slots=True)
class Tensor:
    """An input or output; `shape` leaves out the batch axis, and may have `VARIABLE` axes."""

    name: str
    shape: Shape


@dataclass(frozen=True, slots=True)
class Signature:
    """A model's input and its outputs, in order."""

    input: Tensor
    outputs: tuple[Tensor, ...]


@dataclass(frozen=True, slots=True)
class Derived:
    """A model of the protocol: a bundle and the part of it to run."""

    bundle: str
    kind: Kind

    @property
    def name(self) -> str:
        return f"{self.bundle}-{self.kind}"

    def signature(self, manifest: Manifest) -> Signature:
        """The model's tensors."""
        image = manifest.encoder.inputs[0].shape
        latent = manifest.decoder.inputs[0].shape
        mean, logvar = Tensor("mean", latent), Tensor("logvar", latent)
        pixels = Tensor("pixels", image)
        if self.kind == "encoder":
            return Signature(Tensor("image", image), (mean, logvar))
        if self.kind == "decoder":
            return Signature(Tensor("latent", latent), (pixels, Tensor("params", image)))
        return Signature(Tensor("image", image), (pixels, mean, logvar))


def derived_of(bundle: str) -> tuple[Derived, ...]:
    """Returns the models that a bundle becomes."""
    return tuple(Derived(bundle, cast("Kind", kind)) for kind in DERIVED_KINDS)


def parse_name(name: str) -> Derived:
    """Returns the model of that name; its bundle need not exist.

    Raises:
        UnknownModelError: the name does not end in a kind.
    """
    bundle = bundle_of(name)
    if bundle == name:
        endings = ", ".join(f"-{ending}" for ending in DERIVED_KINDS)
        msg = f"model {shown(name)} does not exist; append one of {endings} to a bundle's name"
        raise UnknownModelError(msg, field="model")
    return Derived(bundle, cast("Kind", name.removeprefix(f"{bundle}-")))


def bundle_of(name: str) -> str:
    """Returns the bundle for its own name or for the name of one of its models."""
    bundle, _, kind = name.rpartition("-")
    return bundle if bundle and kind in DERIVED_KINDS else name


def shown(value: object) -> str:
    """Returns the value as text, shortened for an error message."""
    if isinstance(value, list) and len(value) > _MOST_SHOWN:
        value = [*value[:_MOST_SHOWN], "…"]
    text = repr(value)
    return text if len(text) <= _LONGEST_SHOWN else text[:_LONGEST_SHOWN] + "…"


def parse_version(text: str) -> int:
    """Parses a version from a path.

    Raises:
        UnknownModelError: it is not a positive integer.
    """
    if not re.fullmatch(VERSION_PATTERN, text):
        msg = f"version {shown(text)} does not exist; versions are positive integers"
        raise UnknownModelError(msg, field="version")
    return int(text)
