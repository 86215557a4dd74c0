"""Builds, starts and removes the service with `docker compose`, on a free port."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.e2e.process import ROOT

BUILD_AND_START_WITHIN = 900


@dataclass(frozen=True)
class Composed:
    """A running container and its address."""

    container: str
    address: str

    def execute(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Runs a command in the container."""
        return docker("exec", self.container, *command, check=False)

    def inspect(self) -> dict[str, Any]:
        """The output of `docker inspect`."""
        found: list[dict[str, Any]] = json.loads(docker("inspect", self.container).stdout)
        return found[0]

    def logs(self) -> str:
        """What the container wrote to standard output and standard error."""
        logged = docker("logs", self.container)
        return logged.stdout + logged.stderr


@contextlib.contextmanager
def composed(bundles: Path, **settings: str) -> Iterator[Composed]:
    """Runs `docker compose up` with `settings` in the environment, and removes all at the end.

    Raises:
        RuntimeError: the service did not become healthy; the message has both logs.
    """
    project = f"vaeserve-test-{uuid.uuid4().hex[:8]}"
    port = _free_port()
    kept = {name: value for name, value in os.environ.items() if not name.startswith("VAE_")}
    environment = kept | {"PUBLISH": f"127.0.0.1:{port}", "BUNDLES": str(bundles)} | settings

    def compose(*arguments: str, check: bool = True) -> str:
        command = ("compose", "--project-name", project, *arguments)
        return docker(*command, environment=environment, check=check).stdout

    try:
        try:
            compose("up", "--build", "--detach", "--wait", "serve")
        except subprocess.CalledProcessError as error:
            msg = f"compose up failed:\n{error.stderr[-4000:]}\n{compose('logs', check=False)}"
            raise RuntimeError(msg) from error
        yield Composed(compose("ps", "--quiet", "serve").strip(), f"http://127.0.0.1:{port}")
    finally:
        compose("down", "--volumes", "--timeout", "5", check=False)


def docker(
    *arguments: str, environment: dict[str, str] | None = None, check: bool = True
) -> subprocess.CompletedProcess[str]:
    """Runs docker in the project's root; with `check`, a failure raises CalledProcessError."""
    return subprocess.run(
        ["docker", *arguments],
        cwd=ROOT,
        env=environment,
        check=check,
        capture_output=True,
        text=True,
        timeout=BUILD_AND_START_WITHIN,
    )


def missing_engine() -> str | None:
    """The reason why containers can't be tested, or None."""
    for command in (("info", "--format", "{{.ServerVersion}}"), ("compose", "version")):
        try:
            answer = docker(*command, check=False)
        except FileNotFoundError:
            return "docker is not installed; see https://docs.docker.com/engine/install"
        if answer.returncode != 0:
            return f"`docker {' '.join(command)}` failed: {answer.stderr.strip()}"
    return None


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
