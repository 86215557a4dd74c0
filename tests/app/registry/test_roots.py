"""The roots that the settings name."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.registry.roots import SHIPPED, Roots, is_address


def test_none_named_takes_those_of_the_package() -> None:
    """The shipped bundles are folders like any other."""
    assert Roots(()).folders == Roots(()).watched == (SHIPPED,)
    assert SHIPPED.is_dir()


def test_folders_and_addresses_keep_their_order(tmp_path: Path) -> None:
    """An address stands for its copy in the cache, which nobody else writes to."""
    roots = Roots(("/a", "s3://key:secret@bucket/b", "c"), str(tmp_path))
    assert [folder.parent for folder in roots.folders] == [Path("/"), tmp_path, Path()]
    assert roots.places == ("/a", "s3://bucket/b", "c")
    assert roots.watched == (Path("/a"), Path("c"))


@pytest.mark.parametrize(
    ("root", "expected"), [("s3://b", True), ("memory://", True), ("/a:/b", False), ("a", False)]
)
def test_what_is_an_address(root: str, expected: bool) -> None:
    """A protocol makes it one."""
    assert is_address(root) == expected
