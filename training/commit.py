"""The commit of the code at work."""

from __future__ import annotations

import subprocess
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent


def git_commit(*folders: str, project: Path = PROJECT) -> str | None:
    """The commit that `project` is at, with "+changes" if these folders are not as committed.

    None where the project is no clone of its own: a repository around it, such as one that the
    package was installed in, says nothing of this code.
    """
    try:
        root, commit = _git(project, "rev-parse", "--show-toplevel", "HEAD").splitlines()
        if Path(root).resolve() != project.resolve():
            return None
        changed = _git(project, "status", "--porcelain", "--untracked-files=no", "--", *folders)
    except (OSError, ValueError, subprocess.CalledProcessError):
        return None
    return commit + ("+changes" if changed else "")


def _git(project: Path, *arguments: str) -> str:
    # A look must not take locks that a commit at the same time would need.
    command = ("git", "--no-optional-locks", "-C", str(project), *arguments)
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout  # noqa: S603
