"""The bundle: a folder with two ONNX graphs, a golden batch and the manifest that describes them.

This is the contract between training and serving. A bundle is immutable: it is written to a
temporary folder and renamed into `<root>/<name>/<version>/`, and opening it checks every file
against the hash in its manifest. Nothing in it is ever unpickled.

The graphs (no random node, no batch normalisation, the first axis is the batch):

    encoder.onnx   image [n, c, h, w] → mean, logvar [n, *latent_shape]
    decoder.onnx   latent [n, *latent_shape] → pixels, params [n, c, h, w]

`pixels` is for showing. `params` is what a likelihood is computed from: logits for a Bernoulli,
the unclamped mean otherwise.

`reference.npz` is there if the manifest has a `reference`, see `model.bundle.reference`;
`posterior.npz` if it has a `posterior`, see `model.bundle.posterior`; `prior.npz` if its `prior` is
a mixture, see `model.prior.mixture`; `card.md`, if there, is a page about the model.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from pydantic import ValidationError

from model.bundle.manifest import SCHEMA_VERSION, FileEntry, Manifest
from model.bundle.posterior import POSTERIOR, Posterior, parse_posterior
from model.bundle.reference import REFERENCE, Reference, parse_reference
from model.files import write_folder
from model.prior.mixture import PRIOR, Mixture, parse_mixture

MANIFEST = "manifest.json"
ENCODER = "encoder.onnx"
DECODER = "decoder.onnx"
GOLDEN = "golden.npz"
CARD = "card.md"
CARD_LIMIT = 1024 * 1024
"""Bytes that a card may have, as it is kept in memory."""
MANIFEST_LIMIT = 16 * 1024 * 1024
"""Bytes that a manifest may have: what is read before anything is known of a bundle."""
REQUIRED_FILES = (ENCODER, DECODER, GOLDEN)


class BundleError(Exception):
    """A bundle that can't be written or served; the text names the file and says why."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """An opened bundle: its folder and its manifest, every file having matched its hash."""

    folder: Path
    manifest: Manifest
    reference: Reference | None = field(default=None, compare=False)
    """The bounds to compare with, where the bundle has them."""
    mixture: Mixture | None = field(default=None, compare=False)
    """The prior, where it is not N(0, I)."""
    posterior: Posterior | None = field(default=None, compare=False)
    """Where images lie in the latent space, where the bundle has it."""
    card: str | None = field(default=None, compare=False)
    """A page of Markdown about the model, where the bundle has one."""

    def read(self, name: str) -> bytes:
        """The verified content of one of the bundle's files.

        Raises:
            BundleError: the file is not listed, is missing, or differs from its hash.
        """
        entry = self.manifest.files.get(name)
        if entry is None:
            msg = f"{self.folder / name}: not listed in {MANIFEST}"
            raise BundleError(msg)
        content = _read(self.folder / name, entry.bytes)
        if len(content) != entry.bytes:
            size = f"{len(content)} bytes" if len(content) < entry.bytes else "more bytes"
            msg = f"{self.folder / name}: {size}, {MANIFEST} says {entry.bytes}"
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
    bundle = Bundle(folder, read_manifest(folder))
    for name in (*REQUIRED_FILES, *bundle.manifest.files):
        bundle.read(name)
    return replace(
        bundle,
        reference=_reference(bundle),
        mixture=_mixture(bundle),
        posterior=_posterior(bundle),
        card=_card(bundle),
    )


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
        write_folder(folder, contents)
    except OSError as error:
        msg = f"{folder}: not written: {error.strerror or error}"
        raise BundleError(msg) from error
    return open_bundle(folder)


def manifest_bytes(folder: Path) -> bytes:
    """The manifest as it stands on disk, which tells one state of a bundle from another.

    Raises:
        BundleError: it is missing, can't be read, or has more than `MANIFEST_LIMIT` bytes.
    """
    content = _read(folder / MANIFEST, MANIFEST_LIMIT)
    if len(content) > MANIFEST_LIMIT:
        msg = f"{folder / MANIFEST}: more than the {MANIFEST_LIMIT} bytes that a manifest may have"
        raise BundleError(msg)
    return content


def read_manifest(folder: Path) -> Manifest:
    """What the manifest says; the files that it lists are not looked at.

    Raises:
        BundleError: it is missing or no manifest, its schema is unknown, or it lists a file by
            anything else than a plain name.
    """
    path, content = folder / MANIFEST, manifest_bytes(folder)
    try:
        document = json.loads(content)
    except (ValueError, RecursionError) as error:
        msg = f"{path}: not JSON: {error}"
        # Not as its cause, which would keep the whole text for as long as the error lives.
        raise BundleError(msg) from None
    schema = document.get("schema_version") if isinstance(document, dict) else None
    if type(schema) is not int or schema != SCHEMA_VERSION:  # not true, nor 1.0
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
        if name in {MANIFEST, "", ".", ".."} or "\0" in name or Path(name).name != name:
            msg = f"{path}: {name!r} is not a plain file name"
            raise BundleError(msg)
    return manifest


def _reference(bundle: Bundle) -> Reference | None:
    spec = bundle.manifest.reference
    if spec is None:
        return None
    try:
        return parse_reference(bundle.read(REFERENCE), spec)
    except ValueError as error:
        msg = f"{bundle.folder / REFERENCE}: {error}"
        raise BundleError(msg) from error


def _mixture(bundle: Bundle) -> Mixture | None:
    components = bundle.manifest.prior.components
    if components is None:
        return None
    try:
        mixture = parse_mixture(bundle.read(PRIOR))
    except ValueError as error:
        msg = f"{bundle.folder / PRIOR}: {error}"
        raise BundleError(msg) from error
    wanted = (components, math.prod(bundle.manifest.latent.shape))
    if mixture.shape != wanted:
        msg = (
            f"{bundle.folder / PRIOR}: has {_mixture_size(mixture.shape)}, "
            f"{MANIFEST} says {_mixture_size(wanted)}"
        )
        raise BundleError(msg)
    return mixture


def _mixture_size(shape: tuple[int, int]) -> str:
    return f"{shape[0]} components over {shape[1]} values"


def _posterior(bundle: Bundle) -> Posterior | None:
    spec = bundle.manifest.posterior
    if spec is None:
        return None
    try:
        return parse_posterior(bundle.read(POSTERIOR), spec, bundle.manifest.latent.shape)
    except ValueError as error:
        msg = f"{bundle.folder / POSTERIOR}: {error}"
        raise BundleError(msg) from error


def _card(bundle: Bundle) -> str | None:
    if CARD not in bundle.manifest.files:
        return None
    if bundle.manifest.files[CARD].bytes > CARD_LIMIT:
        msg = f"{bundle.folder / CARD}: more than the {CARD_LIMIT} bytes that a card may have"
        raise BundleError(msg)
    try:
        text = bundle.read(CARD).decode("utf-8")
    except UnicodeDecodeError as error:
        msg = f"{bundle.folder / CARD}: not UTF-8: {error.reason}"
        raise BundleError(msg) from error
    if "\0" in text:
        msg = f"{bundle.folder / CARD}: holds a NUL character, so it is no text"
        raise BundleError(msg)
    return text


def _read(path: Path, most: int) -> bytes:
    """The file's first `most` bytes, and one more if there are more."""
    try:
        # Without waiting: a pipe that nobody writes to would never open.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                msg = f"{path}: can't be read: it is no regular file"
                raise BundleError(msg)
            # What there is, and no more: room is made for all that is asked for.
            return file.read(min(most, os.fstat(descriptor).st_size) + 1)
    except FileNotFoundError as error:
        msg = f"{path}: missing"
        raise BundleError(msg) from error
    except MemoryError as error:
        msg = f"{path}: has more bytes than there is memory for"
        raise BundleError(msg) from error
    except OSError as error:
        msg = f"{path}: can't be read: {error.strerror or error}"
        raise BundleError(msg) from error


def _describe(content: bytes) -> FileEntry:
    return FileEntry(sha256=hashlib.sha256(content).hexdigest(), bytes=len(content))
