"""The bundle: a folder with two ONNX graphs, a golden batch and the manifest that describes them.

Training writes bundles and serving reads them. A bundle is immutable: it is written to a temporary
folder that is then renamed to `<root>/<name>/<version>/`. Opening a bundle checks each file
against its hash in the manifest, and unpickles nothing.

The graphs have no random node and no batch normalisation, and their first axis is the batch:

    encoder.onnx   image [n, c, h, w] → mean, logvar [n, *latent_shape]
    decoder.onnx   latent [n, *latent_shape] → pixels, params [n, c, h, w]

`pixels` is the image to show. Likelihoods are computed from `params`: the logits of a Bernoulli,
or the unclamped mean.

A bundle has `reference.npz` if its manifest has a `reference` (`model.bundle.reference`),
`posterior.npz` if it has a `posterior` (`model.bundle.posterior`), and `prior.npz` if its `prior`
is a mixture (`model.prior.mixture`). `card.md` is an optional page about the model.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

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
"""The most bytes of a card, which is kept in memory."""
MANIFEST_LIMIT = 16 * 1024 * 1024
"""The most bytes of a manifest, which is read before the rest of the bundle."""
REQUIRED_FILES = (ENCODER, DECODER, GOLDEN)

S = TypeVar("S")
T = TypeVar("T")


class BundleError(Exception):
    """A bundle can't be written or served; the message names the file and the reason."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """An opened bundle, every file of which matched its hash."""

    folder: Path
    manifest: Manifest
    reference: Reference | None = field(default=None, compare=False)
    """The stored bounds to compare with, if any."""
    mixture: Mixture | None = field(default=None, compare=False)
    """The prior, if it is not N(0, I)."""
    posterior: Posterior | None = field(default=None, compare=False)
    """Where images lie in the latent space, if stored."""
    card: str | None = field(default=None, compare=False)
    """A page of Markdown about the model, if any."""

    def read(self, name: str) -> bytes:
        """Reads one of the bundle's files and verifies its hash.

        Raises:
            BundleError: the manifest does not list the file, or the file is missing or damaged.
        """
        entry = self.manifest.files.get(name)
        if entry is None:
            raise BundleError(f"{self.folder / name}: not listed in {MANIFEST}")
        content = _read(self.folder / name, entry.bytes)
        if len(content) != entry.bytes:
            size = f"{len(content)} bytes" if len(content) < entry.bytes else "more bytes"
            raise BundleError(f"{self.folder / name}: {size}, {MANIFEST} says {entry.bytes}")
        if hashlib.sha256(content).hexdigest() != entry.sha256:
            msg = f"{self.folder / name}: damaged, its SHA-256 is not the one in {MANIFEST}"
            raise BundleError(msg)
        return content

    def parse(self, name: str, parse: Callable[[bytes], T]) -> T:
        """What `parse` makes of the content of one of the bundle's files.

        Raises:
            BundleError: as for `read`, or `parse` raised a `ValueError`.
        """
        content = self.read(name)
        try:
            return parse(content)
        except ValueError as error:
            raise BundleError(f"{self.folder / name}: {error}") from error


def open_bundle(folder: Path) -> Bundle:
    """Opens a bundle and verifies every file.

    Raises:
        BundleError: a file is missing, damaged or not described, or the schema is unknown.
    """
    bundle = Bundle(folder, read_manifest(folder))
    for name in (*REQUIRED_FILES, *bundle.manifest.files):
        bundle.read(name)
    manifest, shape = bundle.manifest, bundle.manifest.latent.shape
    components = manifest.prior.components
    mixture = None if components is None else (components, math.prod(shape))
    posterior = partial(parse_posterior, latent_shape=shape)
    return replace(
        bundle,
        reference=_part(bundle, REFERENCE, manifest.reference, parse_reference),
        mixture=_part(bundle, PRIOR, mixture, _mixture),
        posterior=_part(bundle, POSTERIOR, manifest.posterior, posterior),
        card=_part(bundle, CARD, manifest.files.get(CARD), _card),
    )


def write_bundle(root: Path, manifest: Manifest, files: Mapping[str, bytes]) -> Bundle:
    """Writes `<root>/<name>/<version>/` as a whole or not at all, and opens it.

    Fills in `manifest.files` from `files`, which maps names to contents.

    Raises:
        BundleError: the version exists already, a required file is missing from `files`, or the
            disk refuses the write.
    """
    missing = [name for name in REQUIRED_FILES if name not in files]
    if missing:
        raise BundleError(f"a bundle needs {', '.join(missing)}")
    folder = root / manifest.name / str(manifest.version)
    if folder.exists():
        msg = f"{folder}: exists already, but bundles are immutable; choose another version"
        raise BundleError(msg)
    entries = {
        name: FileEntry(sha256=hashlib.sha256(content).hexdigest(), bytes=len(content))
        for name, content in files.items()
    }
    whole = manifest.model_copy(update={"files": entries})
    contents = {**files, MANIFEST: whole.model_dump_json(indent=2).encode() + b"\n"}
    try:
        write_folder(folder, contents)
    except OSError as error:
        raise BundleError(f"{folder}: not written: {error.strerror or error}") from error
    return open_bundle(folder)


def manifest_bytes(folder: Path) -> bytes:
    """Reads the manifest's bytes, which identify the state of a bundle.

    Raises:
        BundleError: the manifest is missing, unreadable or larger than `MANIFEST_LIMIT`.
    """
    content = _read(folder / MANIFEST, MANIFEST_LIMIT)
    if len(content) > MANIFEST_LIMIT:
        msg = f"{folder / MANIFEST}: more than the {MANIFEST_LIMIT} bytes that a manifest may have"
        raise BundleError(msg)
    return content


def read_manifest(folder: Path) -> Manifest:
    """Reads the manifest, but not the files that it lists.

    Raises:
        BundleError: the manifest is missing or invalid, its schema is unknown, or it lists a file
            whose name is not a plain file name.
    """
    path, content = folder / MANIFEST, manifest_bytes(folder)
    try:
        document = json.loads(content)
    except (ValueError, RecursionError) as error:
        msg = f"{path}: not JSON: {error}"
        # `from error` would keep the whole text in memory for as long as the error.
        raise BundleError(msg) from None
    schema = document.get("schema_version") if isinstance(document, dict) else None
    if type(schema) is not int or schema != SCHEMA_VERSION:  # excludes true and 1.0
        msg = f"{path}: schema_version is {schema!r}, this version reads {SCHEMA_VERSION}"
        raise BundleError(msg)
    try:
        manifest = Manifest.model_validate_json(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise BundleError(f"{path}: {where}: {first['msg']}") from error
    for name in manifest.files:
        if name in {MANIFEST, "", ".", ".."} or "\0" in name or Path(name).name != name:
            raise BundleError(f"{path}: {name!r} is not a plain file name")
    return manifest


def _part(bundle: Bundle, name: str, spec: S | None, parse: Callable[[bytes, S], T]) -> T | None:
    """What `parse` makes of a file, if the manifest has a `spec` of it."""
    return None if spec is None else bundle.parse(name, lambda content: parse(content, spec))


def _mixture(content: bytes, wanted: tuple[int, int]) -> Mixture:
    mixture = parse_mixture(content)
    if mixture.shape != wanted:
        (found, of), (components, size) = mixture.shape, wanted
        raise ValueError(
            f"has {found} components over {of} values, "
            f"{MANIFEST} says {components} components over {size} values"
        )
    return mixture


def _card(content: bytes, entry: FileEntry) -> str:
    if entry.bytes > CARD_LIMIT:
        raise ValueError(f"more than the {CARD_LIMIT} bytes that a card may have")
    if b"\0" in content:
        raise ValueError("holds a NUL character, so it is not text")
    return content.decode("utf-8")


def _read(path: Path, most: int) -> bytes:
    """Reads at most `most` + 1 bytes, so that the caller can detect a file that is too large."""
    try:
        # O_NONBLOCK: opening a pipe without a writer would block for ever.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise BundleError(f"{path}: can't be read: it is not a regular file")
            # Python allocates all the bytes asked for, so this asks for no more than exist.
            return file.read(min(most, os.fstat(descriptor).st_size) + 1)
    except FileNotFoundError as error:
        raise BundleError(f"{path}: missing") from error
    except MemoryError as error:
        raise BundleError(f"{path}: too large for the free memory") from error
    except OSError as error:
        raise BundleError(f"{path}: can't be read: {error.strerror or error}") from error
