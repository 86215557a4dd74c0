"""What the protocol says of the repository's versions."""

from __future__ import annotations

from pathlib import Path

from app.protocols.oip import metadata
from app.registry.catalog import Model
from app.registry.versions import Version


def test_the_index_has_every_version_of_every_model() -> None:
    """States are those of the protocol, and what does not serve says why."""
    folder = Path("x")
    versions = [
        Version("a", 3, folder, "unavailable", "damaged"),
        Version("a", 2, folder, "ready"),
        Version("a", 1, folder, "unloaded"),
        Version("a", 4, folder, "loading"),
        Version("a", 5, folder, "unloading"),
    ]
    model = Model("a", versions)
    index = metadata.index([model], only_ready=False)
    assert len(index) == 15
    told = [(one["version"], one["state"], one["reason"]) for one in index[:5]]
    assert told == [
        ("3", "UNAVAILABLE", "damaged"),
        ("2", "READY", ""),
        ("1", "UNAVAILABLE", "unloaded"),
        ("4", "LOADING", ""),
        ("5", "UNLOADING", ""),
    ]
    ready = metadata.index([model], only_ready=True)
    assert [one["name"] for one in ready] == ["a-encoder", "a-decoder", "a-reconstruct"]


def test_only_what_is_there_is_advertised() -> None:
    """The repository's extension is named when it is switched on."""
    off = metadata.server("1", repository_api=False)["extensions"]
    on = metadata.server("1", repository_api=True)["extensions"]
    assert off == ["binary_tensor_data", "model_configuration", "statistics"]
    assert isinstance(off, list)
    assert on == [*off, "model_repository"]
