"""The bundle: a folder with two ONNX graphs, a golden batch and the manifest that describes them.

This is the contract between training and serving. A bundle is immutable: it is written to a
temporary folder and renamed into `<root>/<name>/<version>/`, and opening it checks every file
against the hash in its manifest. Nothing in it is ever unpickled.

The graphs (no random node, no batch normalisation, the first axis is the batch):

    encoder.onnx   image [n, c, h, w] → mean, logvar [n, *latent_shape]
    decoder.onnx   latent [n, *latent_shape] → pixels, params [n, c, h, w]

`pixels` is for showing. `params` is what a likelihood is computed from: logits for a Bernoulli,
the unclamped mean otherwise.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, JsonValue, NonNegativeInt, PositiveInt, ValidationError

from model.config import Frozen

SCHEMA_VERSION = 1
MANIFEST = "manifest.json"
ENCODER = "encoder.onnx"
DECODER = "decoder.onnx"
GOLDEN = "golden.npz"
REQUIRED_FILES = (ENCODER, DECODER, GOLDEN)

NAME_PATTERN = r"^[a-z0-9][a-z0-9_.-]{0,62}$"
RESERVED_NAMES = frozenset({"stats"})
"""Names that would collide with a route of the inference protocol."""


def _not_reserved(name: str) -> str:
    if name in RESERVED_NAMES:
        msg = f"{name!r} is reserved; choose another name"
        raise ValueError(msg)
    return name


Name = Annotated[str, Field(pattern=NAME_PATTERN), AfterValidator(_not_reserved)]
Shape = Annotated[tuple[PositiveInt, ...], Field(min_length=1)]


class BundleError(Exception):
    """A bundle that can't be written or served; the text names the file and says why."""


class FileEntry(Frozen):
    """What a file of the bundle must be."""

    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    bytes: NonNegativeInt


class InputSpec(Frozen):
    """The pictures that the encoder takes: float32 [n, channels, height, width]."""

    channels: Literal[1, 3]
    height: PositiveInt
    width: PositiveInt
    order: Literal["L", "RGB"]
    value_range: tuple[float, float] = (0.0, 1.0)


class Preprocessing(Frozen):
    """How any picture is fitted to the model, in training and in serving alike."""

    orientation: Literal["exif"] = "exif"
    crop: Literal["centre"] = "centre"
    filter: Literal["lanczos"] = "lanczos"
    background: Annotated[int, Field(ge=0, le=255)] = 0
    """The grey level that transparent pixels are laid on."""
    grey: Literal["itu-r-601"] = "itu-r-601"


class LatentSpec(Frozen):
    """A vector (d,) or a map (c, h, w); what is served is (z − shift) · scaling."""

    shape: Shape
    scaling: float = 1.0
    shift: float = 0.0


class TensorSpec(Frozen):
    """A graph's input or output; the batch axis is left out of `shape`."""

    name: str
    dtype: Literal["float32"] = "float32"
    shape: Shape


class GraphSpec(Frozen):
    """The tensors of one graph, in order."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]


class LikelihoodSpec(Frozen):
    """p(x|z) as trained, over `dimensions` pixel values."""

    family: Literal["bernoulli", "gaussian"]
    dimensions: PositiveInt
    scale: Annotated[float, Field(gt=0)] | None = None
    """Standard deviation of a Gaussian, pixels being in [0, 1]."""
    levels: PositiveInt | None = None
    """Number of grey levels of a discrete likelihood."""
    binarise: Literal["sample", "threshold", "none"] | None = None
    """How training made grey pictures binary; Bernoulli only."""


class WeightsSpec(Frozen):
    """Which weights were exported."""

    kind: Literal["ema", "raw"]
    step: NonNegativeInt


class DataSpec(Frozen):
    """What the model was trained on."""

    id: str
    revision: str | None = None
    licence: str | None = None
    fingerprint: str
    split: str


class Metric(Frozen):
    """A measured figure and how it was measured; log-likelihoods are in nats."""

    value: float
    standard_error: float | None = None
    n: PositiveInt
    """Number of pictures."""
    samples: PositiveInt | None = None
    """K, the number of importance samples of each picture."""
    seeds: Mapping[str, int] = {}
    note: str | None = None


class GoldenSpec(Frozen):
    """Largest absolute difference, by provider and output, that the golden batch may show."""

    tolerance: Mapping[str, Mapping[str, Annotated[float, Field(gt=0)]]]


class Manifest(Frozen):
    """`manifest.json`: everything that serving needs to know, and where the model comes from."""

    schema_version: Literal[1] = 1
    name: Name
    version: PositiveInt
    created: datetime
    git_commit: str | None = None
    tools: Mapping[str, str]
    opset: PositiveInt
    files: Mapping[str, FileEntry] = {}
    input: InputSpec
    preprocessing: Preprocessing = Preprocessing()
    latent: LatentSpec
    encoder: GraphSpec
    decoder: GraphSpec
    likelihood: LikelihoodSpec | None
    objective: Mapping[str, JsonValue]
    network: Mapping[str, JsonValue]
    weights: WeightsSpec
    data: DataSpec
    metrics: Mapping[str, Metric]
    kl_per_dimension: tuple[float, ...] = ()
    golden: GoldenSpec
    licence: str
    card: str
    """A few sentences for people: what the model is, and what it is not for."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """An opened bundle: its folder and its manifest, every file having matched its hash."""

    folder: Path
    manifest: Manifest

    def read(self, name: str) -> bytes:
        """The verified content of one of the bundle's files.

        Raises:
            BundleError: the file is not listed, is missing, or differs from its hash.
        """
        entry = self.manifest.files.get(name)
        if entry is None:
            msg = f"{self.folder / name}: not listed in {MANIFEST}"
            raise BundleError(msg)
        content = _read(self.folder / name)
        if len(content) != entry.bytes:
            msg = f"{self.folder / name}: {len(content)} bytes, {MANIFEST} says {entry.bytes}"
            raise BundleError(msg)
        if hashlib.sha256(content).hexdigest() != entry.sha256:
            msg = f"{self.folder / name}: damaged, its SHA-256 is not the one in {MANIFEST}"
            raise BundleError(msg)
        return content


def open_bundle(folder: Path) -> Bundle:
    """Reads the manifest and verifies every file.

    Raises:
        BundleError: a file is missing, damaged or not described, or the schema is unknown.
    """
    bundle = Bundle(folder, _parse_manifest(folder / MANIFEST))
    for name in (*REQUIRED_FILES, *bundle.manifest.files):
        bundle.read(name)
    return bundle


def write_bundle(root: Path, manifest: Manifest, files: Mapping[str, bytes]) -> Bundle:
    """Writes `<root>/<name>/<version>/` as a whole or not at all, and opens it.

    `manifest.files` is filled in here from `files` (name → content).

    Raises:
        BundleError: that version exists already, a required file is not given, or the disk
            refuses.
    """
    missing = [name for name in REQUIRED_FILES if name not in files]
    if missing:
        msg = f"a bundle needs {', '.join(missing)}"
        raise BundleError(msg)
    folder = root / manifest.name / str(manifest.version)
    if folder.exists():
        msg = f"{folder}: exists already, and a bundle is immutable; choose another version"
        raise BundleError(msg)
    entries = {name: _describe(content) for name, content in files.items()}
    whole = manifest.model_copy(update={"files": entries})
    contents = {**files, MANIFEST: whole.model_dump_json(indent=2).encode() + b"\n"}
    try:
        _write_and_rename(folder, contents)
    except OSError as error:
        msg = f"{folder}: not written: {error.strerror or error}"
        raise BundleError(msg) from error
    return open_bundle(folder)


def _parse_manifest(path: Path) -> Manifest:
    content = _read(path)
    try:
        document = json.loads(content)
    except ValueError as error:
        msg = f"{path}: not JSON: {error}"
        raise BundleError(msg) from error
    schema = document.get("schema_version") if isinstance(document, dict) else None
    if schema != SCHEMA_VERSION:
        msg = f"{path}: schema_version is {schema!r}, this version reads {SCHEMA_VERSION}"
        raise BundleError(msg)
    try:
        manifest = Manifest.model_validate_json(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        msg = f"{path}: {where}: {first['msg']}"
        raise BundleError(msg) from error
    for name in manifest.files:
        if name in {MANIFEST, ".", ".."} or Path(name).name != name:
            msg = f"{path}: {name!r} is not a plain file name"
            raise BundleError(msg)
    return manifest


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        msg = f"{path}: missing"
        raise BundleError(msg) from error
    except OSError as error:
        msg = f"{path}: can't be read: {error.strerror or error}"
        raise BundleError(msg) from error


def _describe(content: bytes) -> FileEntry:
    return FileEntry(sha256=hashlib.sha256(content).hexdigest(), bytes=len(content))


def _write_and_rename(folder: Path, contents: Mapping[str, bytes]) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        for name, content in contents.items():
            with (temporary / name).open("xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        temporary.chmod(0o755)
        temporary.rename(folder)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
