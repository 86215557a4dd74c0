"""Free memory is what cgroup and host leave; the commit is this project's, or none."""

from __future__ import annotations

import resource
import shutil
import subprocess
from pathlib import Path

import pytest

from training.system import available_memory, git_commit

HOST = 8192 * 1024
V1 = "memory/memory."


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, HOST),
        ({"memory.max": "max\n", "memory.current": "4000\n"}, HOST),
        ({"memory.max": "9000\n", "memory.current": "4000\n"}, 5000),
        (
            {
                "memory.max": "9000\n",
                "memory.current": "4000\n",
                "memory.stat": "anon 2500\ninactive_file 1500\n",
            },
            6500,
        ),
        ({"memory.max": "9000\n", "memory.current": "9900\n"}, 0),
        ({"memory.max": f"{10 * HOST}\n", "memory.current": "0\n"}, HOST),
        ({f"{V1}limit_in_bytes": "9000\n", f"{V1}usage_in_bytes": "3000\n"}, 6000),
        ({"memory.max": "nonsense", "memory.current": ""}, HOST),
    ],
)
def test_the_smaller_bound_counts(tmp_path: Path, files: dict[str, str], expected: int) -> None:
    """A cgroup's limit less what is in use, its droppable file cache not counted, bounds the
    host's available memory."""
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal:   16384 kB\nMemFree:  100 kB\nMemAvailable:  8192 kB\nOdd:\n")
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)

    assert available_memory(tmp_path, meminfo) == expected


def test_a_host_that_tells_nothing(tmp_path: Path) -> None:
    """Without the kernel's files, free pages count."""
    assert available_memory(tmp_path, tmp_path / "missing") > 0


@pytest.mark.parametrize("kind", ["RLIMIT_AS", "RLIMIT_DATA"])
def test_a_limit_of_the_process_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """What `ulimit` allows the process bounds what it may still take."""
    status = tmp_path / "status"
    status.write_text("Name:\tpython\nVmSize:\t 3 kB\nVmData:\t 3 kB\n")
    limits = {getattr(resource, kind): 10 * 1024}
    unlimited = resource.RLIM_INFINITY
    monkeypatch.setattr(
        resource, "getrlimit", lambda limit: (limits.get(limit, unlimited), unlimited)
    )

    assert available_memory(tmp_path, tmp_path / "missing", status) == 7 * 1024


def test_this_host() -> None:
    """The real files of this machine can be read."""
    assert available_memory() > 0


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
