"""Bundles under test, written once."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import arithmetic_bundle, arithmetic_maps


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
