"""Settings and fixtures that all tests share."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import settings

from tests import arithmetic_bundle, arithmetic_maps, autoencoder

# No deadline: a busy machine is not a defect of the code under test.
settings.register_profile("default", deadline=None)
settings.load_profile("default")

# Tests never wait for an unreachable hub.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("HF_DATASETS_OFFLINE", "1")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fails the run if a test was skipped and the environment has VAESERVE_TEST_SKIPS=fail."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None or os.environ.get("VAESERVE_TEST_SKIPS") != "fail":
        return
    if skipped := reporter.stats.get("skipped"):
        reporter.write_line(f"\nVAESERVE_TEST_SKIPS=fail: {len(skipped)} skipped", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@dataclass(frozen=True)
class Imported:
    """A small `AutoencoderKL`: the folder that diffusers wrote, and its bundle's repository."""

    saved: Path
    repository: Path


@pytest.fixture(scope="session")
def imported(tmp_path_factory: pytest.TempPathFactory) -> Imported:
    """Saved by diffusers and imported by the command, once per session: an export takes seconds."""
    from training.__main__ import main

    folder = tmp_path_factory.mktemp("diffusers")
    saved, repository = autoencoder.save(folder / "vae"), folder / "bundles"
    arguments = ["import-diffusers", str(saved), "--name", autoencoder.NAME]
    assert main([*arguments, "--repository", str(repository), "--max-size", "64"]) == 0
    return Imported(saved, repository)


@pytest.fixture(scope="session")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with only the arithmetic bundle; read-only."""
    root = tmp_path_factory.mktemp("repository")
    arithmetic_bundle.write(root)
    return root


@pytest.fixture(scope="session")
def coins(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with only the Bernoulli variant; read-only."""
    root = tmp_path_factory.mktemp("coins")
    arithmetic_bundle.write_bernoulli(root)
    return root


@pytest.fixture(scope="session")
def maps(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with only the bundle of latent maps; read-only."""
    root = tmp_path_factory.mktemp("maps")
    arithmetic_maps.write(root)
    return root
