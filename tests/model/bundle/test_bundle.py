"""A bundle is whole and as described, or it is refused with the reason."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from model.bundle.bundle import (
    DECODER,
    ENCODER,
    GOLDEN,
    MANIFEST,
    Bundle,
    BundleError,
    open_bundle,
    write_bundle,
)
from model.bundle.manifest import Name
from tests import arithmetic_bundle
from tests.limits import file_size_limit

NAMES = TypeAdapter[str](Name)


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return arithmetic_bundle.write(tmp_path)


def edit(bundle: Bundle, change: Callable[[dict[str, Any]], object]) -> None:
    path = bundle.folder / MANIFEST
    document = json.loads(path.read_bytes())
    change(document)
    path.write_text(json.dumps(document))


def test_round_trip(bundle: Bundle) -> None:
    """What was written opens as the same manifest, with every file's hash and size."""
    opened = open_bundle(bundle.folder)

    assert opened == bundle
    assert set(opened.manifest.files) == {ENCODER, DECODER, GOLDEN}
    for name, entry in opened.manifest.files.items():
        assert entry.bytes == len(opened.read(name)) > 0


def test_where_it_lies(bundle: Bundle, tmp_path: Path) -> None:
    """A bundle is the folder <root>/<name>/<version>, and no temporary folder stays."""
    assert bundle.folder == tmp_path / "arithmetic" / "1"
    assert sorted(path.name for path in bundle.folder.parent.iterdir()) == ["1"]
    assert bundle.folder.stat().st_mode & 0o777 == 0o755


@pytest.mark.parametrize("name", [ENCODER, DECODER, GOLDEN])
def test_a_flipped_bit_is_found(bundle: Bundle, name: str) -> None:
    """One flipped bit in any file is named as damage."""
    path = bundle.folder / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)

    with pytest.raises(BundleError, match=rf"{name}: damaged, its SHA-256 is not"):
        open_bundle(bundle.folder)


@pytest.mark.parametrize("name", [ENCODER, DECODER, GOLDEN, MANIFEST])
def test_a_missing_file_is_named(bundle: Bundle, name: str) -> None:
    """A file that is not there is named."""
    (bundle.folder / name).unlink()

    with pytest.raises(BundleError, match=rf"{name}: missing"):
        open_bundle(bundle.folder)


def test_a_truncated_file_is_named(bundle: Bundle) -> None:
    """An incomplete copy is told from damage by its size."""
    path = bundle.folder / DECODER
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])

    with pytest.raises(BundleError, match=rf"{DECODER}: {len(whole) - 1} bytes, .* {len(whole)}"):
        open_bundle(bundle.folder)


def test_a_file_in_the_way_is_named(bundle: Bundle) -> None:
    """A folder where a file should be is a reason, not a traceback."""
    (bundle.folder / GOLDEN).unlink()
    (bundle.folder / GOLDEN).mkdir()

    with pytest.raises(BundleError, match=rf"{GOLDEN}: can't be read"):
        open_bundle(bundle.folder)


@pytest.mark.parametrize("name", [MANIFEST, GOLDEN])
def test_a_pipe_in_the_way_is_named(bundle: Bundle, name: str) -> None:
    """What is no file is a reason, and is not waited for."""
    (bundle.folder / name).unlink()
    os.mkfifo(bundle.folder / name)

    with pytest.raises(BundleError, match=rf"{name}: can't be read: it is not a regular file"):
        open_bundle(bundle.folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.update(schema_version=2), "schema_version is 2, this version reads 1"),
        (lambda d: d.update(schema_version=True), "schema_version is True"),
        (lambda d: d.update(schema_version=1.0), r"schema_version is 1\.0"),
        (lambda d: d.pop("schema_version"), "schema_version is None"),
        (lambda d: d.update(surprise=1), "surprise: Extra inputs are not permitted"),
        (lambda d: d.update(version=0), "version: .*greater than 0"),
        (lambda d: d["latent"].update(shape=[]), r"latent\.shape: "),
        (lambda d: d["input"].update(channels=2), r"input\.channels: "),
        (lambda d: d["files"].pop(GOLDEN), f"{GOLDEN}: not listed"),
        (lambda d: d["files"][GOLDEN].update(bytes=1e30), r"files\.golden\.npz\.bytes: "),
        (lambda d: d["files"][GOLDEN].update(bytes=10**13), r"files\.golden\.npz\.bytes: "),
        (lambda d: d["files"][GOLDEN].update(bytes=2**31 - 1), "bytes, manifest.json says"),
        (lambda d: d.update(kl_per_dimension=[1.0]), "one value for each of the 2 latent"),
        (lambda d: d["likelihood"].update(scale=1e-30), r"likelihood\.scale"),
        (lambda d: d["likelihood"].update(levels=65_537), r"likelihood\.levels"),
        (lambda d: d["files"].update({"../x": d["files"][GOLDEN]}), "not a plain file name"),
        (lambda d: d["files"].update({"a/b": d["files"][GOLDEN]}), "not a plain file name"),
        (lambda d: d["files"].update({"": d["files"][GOLDEN]}), "'' is not a plain file name"),
        (lambda d: d["files"].update({"a\0": d["files"][GOLDEN]}), "not a plain file name"),
        (lambda d: d["files"].update({"..": d["files"][GOLDEN]}), "not a plain file name"),
        (lambda d: d["files"].update({MANIFEST: d["files"][GOLDEN]}), "not a plain file name"),
        (lambda d: d["files"][GOLDEN].update(sha256="x"), r"files\.golden\.npz\.sha256: "),
        (lambda d: d["metrics"].update(bound={"value": "NaN", "n": 1}), r"metrics\.bound\.value: "),
    ],
)
def test_a_manifest_that_is_not_one(
    bundle: Bundle, change: Callable[[dict[str, Any]], object], message: str
) -> None:
    """A manifest of another schema, or with a wrong or unknown member, is refused by its name."""
    edit(bundle, change)

    with pytest.raises(BundleError, match=message):
        open_bundle(bundle.folder)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[]", b"null", b"3", b"[" * 100_000])
def test_a_manifest_that_is_not_json(bundle: Bundle, content: bytes) -> None:
    """Whatever bytes stand in the manifest's place, the reason names it."""
    (bundle.folder / MANIFEST).write_bytes(content)

    with pytest.raises(BundleError, match=MANIFEST):
        open_bundle(bundle.folder)


@given(content=st.binary(max_size=200))
def test_any_bytes_as_a_manifest(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    """No bytes make opening fail with anything but a BundleError."""
    folder = tmp_path_factory.mktemp("bundle")
    (folder / MANIFEST).write_bytes(content)

    with pytest.raises(BundleError):
        open_bundle(folder)


def test_what_is_too_long_is_not_read_to_its_end(bundle: Bundle) -> None:
    """A manifest has a limit, and a file is given up where it passes its size: these have 1 TB."""
    os.truncate(bundle.folder / DECODER, 1 << 40)
    with pytest.raises(BundleError, match=r"more bytes, manifest\.json says"):
        open_bundle(bundle.folder)
    os.truncate(bundle.folder / MANIFEST, 1 << 40)
    with pytest.raises(BundleError, match="more than the 16777216 bytes"):
        open_bundle(bundle.folder)


def test_a_file_that_is_not_listed_is_not_read(bundle: Bundle) -> None:
    """Only listed files can be read, whatever lies in the folder."""
    (bundle.folder / "secret").write_text("x")

    with pytest.raises(BundleError, match="secret: not listed"):
        bundle.read("secret")
    with pytest.raises(BundleError, match="not listed"):
        bundle.read("../1/encoder.onnx")


def test_a_version_is_immutable(bundle: Bundle, tmp_path: Path) -> None:
    """Writing the same version again is refused and changes nothing."""
    before = (bundle.folder / MANIFEST).read_bytes()

    with pytest.raises(BundleError, match="exists already, but bundles are immutable"):
        arithmetic_bundle.write(tmp_path)

    assert (bundle.folder / MANIFEST).read_bytes() == before


def test_required_files(tmp_path: Path) -> None:
    """A bundle can't be written without its graphs and golden batch."""
    with pytest.raises(BundleError, match=f"a bundle needs {DECODER}, {GOLDEN}"):
        write_bundle(tmp_path, arithmetic_bundle.manifest(), {ENCODER: b"x"})

    assert list(tmp_path.iterdir()) == []


def test_further_files_are_open(tmp_path: Path) -> None:
    """A bundle may carry further files, verified like the others."""
    files = dict.fromkeys((ENCODER, DECODER, GOLDEN, "card.md"), b"x")

    written = write_bundle(tmp_path, arithmetic_bundle.manifest(), files)
    (written.folder / "card.md").write_bytes(b"y")

    with pytest.raises(BundleError, match=r"card\.md: damaged"):
        open_bundle(written.folder)


def test_a_disk_that_refuses(tmp_path: Path) -> None:
    """A write that fails is one sentence, and leaves no half-written bundle."""
    (tmp_path / "arithmetic").write_text("a file in the way")

    with pytest.raises(BundleError, match="not written: File exists"):
        arithmetic_bundle.write(tmp_path)

    assert (tmp_path / "arithmetic").read_text() == "a file in the way"


def test_a_disk_that_fills_up(tmp_path: Path) -> None:
    """A disk that takes no more leaves neither a bundle nor a temporary folder."""
    files = {name: bytes(5000) for name in (ENCODER, DECODER, GOLDEN)}

    with file_size_limit(1000), pytest.raises(BundleError, match="not written: File too large"):
        write_bundle(tmp_path, arithmetic_bundle.manifest(), files)

    assert list((tmp_path / "arithmetic").iterdir()) == []


@given(st.from_regex(r"[a-z0-9][a-z0-9_.-]{0,62}", fullmatch=True).filter(lambda n: n != "stats"))
def test_names(name: str) -> None:
    """Lower-case letters, digits, dots, dashes and underscores make a name."""
    assert NAMES.validate_python(name) == name


@pytest.mark.parametrize(
    "name", ["", "stats", "Mnist", "-a", ".a", "_a", "a/b", "a b", "ä", "a" * 64, "a\n"]
)
def test_what_is_no_name(name: str) -> None:
    """Anything that could leave the repository or collide with a route is no name."""
    with pytest.raises(ValidationError):
        NAMES.validate_python(name)
