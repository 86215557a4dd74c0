"""Where the files of networks of one's own lie."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from model.bundle.sources import SourceError, digest, file_of, locate
from model.config import CustomConfig

NETWORK = CustomConfig(encoder="nets:Encoder", decoder="nets:Decoder")


def test_the_first_folder_that_has_the_file(tmp_path: Path) -> None:
    """The preset's folder comes before the current one, and a folder that is set before both."""
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first, second):
        folder.mkdir()
    (second / "nets.py").write_text("two = 2")
    assert locate(NETWORK, (first, second)).folder == str(second)

    (first / "nets.py").write_text("one = 1")
    one = locate(NETWORK, (first, second))
    assert one.folder == str(first)
    set_to = NETWORK.model_copy(update={"folder": str(second)})
    assert locate(set_to, (first,)).folder == str(second)


def test_a_missing_file_is_named_with_the_folders(tmp_path: Path) -> None:
    """The error says which file was looked for, and where."""
    with pytest.raises(
        SourceError, match=rf"nets\.py is not in {tmp_path} or {tmp_path / 'other'}"
    ):
        locate(NETWORK, (tmp_path, tmp_path / "other"))

    (tmp_path / "nets.py").touch()
    apart = NETWORK.model_copy(update={"decoder": "more.nets:Decoder"})
    with pytest.raises(SourceError, match=r"more/nets\.py: the network's file can't be read"):
        locate(apart, (tmp_path,))


def test_the_digest_is_of_both_files(tmp_path: Path) -> None:
    """A change in the encoder's or the decoder's file is another network."""
    apart = NETWORK.model_copy(update={"decoder": "other:Decoder"})
    found = set()
    for texts in (("a", "b"), ("a", "c"), ("d", "b")):
        for name, text in zip(("nets.py", "other.py"), texts, strict=True):
            (tmp_path / name).write_text(text)
        found.add(digest(apart, tmp_path))

    assert len(found) == 3


@pytest.mark.parametrize(
    "name", ["nets", "nets:", ":Encoder", "../nets:Encoder", "a..b:C", "a:b.c"]
)
def test_a_class_is_module_and_name(name: str) -> None:
    """Anything but `module:Class` is refused, and a path can't be smuggled in."""
    with pytest.raises(ValidationError):
        CustomConfig(encoder=name, decoder="nets:Decoder")


def test_a_dotted_module_is_a_file_in_folders() -> None:
    """Each part but the last is a folder."""
    assert file_of("a.b.c:D") == Path("a/b/c.py")
