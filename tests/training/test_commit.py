"""The commit is this project's, or none."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from training.system import git_commit


def git(folder: Path, *arguments: str) -> str:
    settings = ("-c", "user.name=x", "-c", "user.email=x@example.org", "-c", "commit.gpgsign=false")
    command = ("git", "-C", str(folder), *settings, *arguments)
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A clone with two committed folders."""
    folder = tmp_path / "project"
    for name in ("model", "docs"):
        (folder / name).mkdir(parents=True)
        (folder / name / "file").write_text("committed")
    git(folder, "init", "--quiet")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "--message", "x")
    return folder


def test_the_commit_of_a_clone(project: Path) -> None:
    """A clone as it was committed is its commit, whatever lies beside the tracked files."""
    (project / "model" / "untracked").write_text("")

    assert git_commit("model", project=project) == git(project, "rev-parse", "HEAD")


def test_changes_are_told(project: Path) -> None:
    """A change in one of the folders shows, staged or not; one elsewhere does not."""
    head = git(project, "rev-parse", "HEAD")
    (project / "docs" / "file").write_text("changed")
    assert git_commit("model", project=project) == head

    (project / "model" / "file").write_text("changed")
    assert git_commit("model", project=project) == f"{head}+changes"
    git(project, "add", ".")
    assert git_commit("model", project=project) == f"{head}+changes"


def test_the_repository_around_an_installed_package_is_another_s(project: Path) -> None:
    """Code inside somebody else's clone is not at that clone's commit."""
    assert git_commit(project=project / "model") is None


def test_no_repository(project: Path) -> None:
    """Without a repository, or without a commit in it, there is none to tell."""
    shutil.rmtree(project / ".git")
    assert git_commit(project=project) is None

    git(project, "init", "--quiet")
    assert git_commit(project=project) is None
