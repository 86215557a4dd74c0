"""Settings of all tests."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import settings

from tests import arithmetic_bundle, arithmetic_maps, autoencoder

# No deadline: a busy machine is not a defect of what is tested.
settings.register_profile("default", deadline=None)
settings.load_profile("default")

# Nothing here may wait for a hub that is not reachable.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("HF_DATASETS_OFFLINE", "1")


@dataclass(frozen=True)
class Imported:
    """A small `AutoencoderKL`: where diffusers saved it, and the repository it was imported to."""

    saved: Path
    repository: Path


@pytest.fixture(scope="session")
def imported(tmp_path_factory: pytest.TempPathFactory) -> Imported:
    """Saved by diffusers and imported by the command, once, as an export takes seconds."""
    from training.__main__ import main

    folder = tmp_path_factory.mktemp("diffusers")
    saved, repository = autoencoder.save(folder / "vae"), folder / "bundles"
    arguments = ["import-diffusers", str(saved), "--name", autoencoder.NAME]
    assert main([*arguments, "--repository", str(repository), "--max-size", "64"]) == 0
    return Imported(saved, repository)


@pytest.fixture(scope="session")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with the arithmetic bundle alone; not to be written to."""
    root = tmp_path_factory.mktemp("repository")
    arithmetic_bundle.write(root)
    return root


@pytest.fixture(scope="session")
def coins(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with the Bernoulli variant alone; not to be written to."""
    root = tmp_path_factory.mktemp("coins")
    arithmetic_bundle.write_bernoulli(root)
    return root


@pytest.fixture(scope="session")
def maps(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with the bundle of latent maps alone; not to be written to."""
    root = tmp_path_factory.mktemp("maps")
    arithmetic_maps.write(root)
    return root
