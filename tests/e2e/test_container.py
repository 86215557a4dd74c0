"""Builds, starts, calls and stops the image and the compose file on a real Docker engine."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from tests import arithmetic_bundle
from tests.e2e.composed import Composed, composed, docker, missing_engine

IMAGE = Path(__file__).parent.parent / "data" / "images" / "digit.png"


@pytest.fixture(scope="module", autouse=True)
def engine() -> None:
    """Skips if no engine responds; with VAESERVE_TEST_CONTAINER=required it fails instead."""
    reason = missing_engine()
    if reason is not None:
        required = os.environ.get("VAESERVE_TEST_CONTAINER") == "required"
        pytest.fail(reason) if required else pytest.skip(reason)


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Composed]:
    """The service as `docker compose up` starts it without settings."""
    bundles = tmp_path_factory.mktemp("bundles")
    # Writable for everyone, so that only the read-only mount can refuse.
    bundles.chmod(0o777)
    with composed(bundles) as service:
        yield service


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Composed]:
    """The service with the test's bundles instead of the shipped ones."""
    arithmetic_bundle.write(tmp_path)
    for path in (tmp_path, *tmp_path.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    with composed(tmp_path, VAE_REPOSITORY="/bundles") as service:
        yield service


def test_it_answers_the_verbs(shipped: Composed) -> None:
    """The service is ready and healthy, and every verb works with the bundled model."""
    with httpx.Client(base_url=shipped.address) as client:
        ready = {"status": "ready", "problems": [], "warnings": []}
        assert client.get("/readyz").json() == ready
        sample = client.post("/sample", json={"n": 2, "seed": 7}).raise_for_status().json()
        decoded = client.post("/decode", json={"latents": sample["latents"]}).raise_for_status()
        assert decoded.json()["images"] == sample["images"]
        client.headers["content-type"] = "image/png"
        image = IMAGE.read_bytes()
        encoded = client.post("/encode", content=image).raise_for_status().json()
        rebuilt = client.post("/reconstruct", content=image).raise_for_status().json()
        assert rebuilt["mean"] == encoded["mean"]
        assert rebuilt["kl"][0] > 0
        scored = client.post("/score", content=image).raise_for_status().json()
        assert 0 < scored["percentile"][0] < 100
    assert shipped.inspect()["State"]["Health"]["Status"] == "healthy"


def test_it_may_do_nothing_but_serve(shipped: Composed) -> None:
    """It runs without root, capabilities or new privileges, and can't write to the image."""
    assert shipped.execute("id", "-u").stdout.strip() == "10001"
    status = shipped.execute("cat", "/proc/1/status").stdout
    lines = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert int(lines["CapEff"], 16) == int(lines["CapBnd"], 16) == 0
    assert lines["NoNewPrivs"] == "1"
    for folder in ("/", "/opt/vaeserve", "/var/lib/vaeserve", "/bundles"):
        refused = shipped.execute("touch", f"{folder}/file")
        assert "Read-only file system" in refused.stderr
    assert shipped.execute("touch", "/tmp/file").returncode == 0  # noqa: S108 the container's own


def test_it_has_no_torch(shipped: Composed) -> None:
    """The image contains neither torch nor CUDA libraries."""
    packages = shipped.execute("ls", "/opt/vaeserve/lib/python3.11/site-packages").stdout.split()
    assert "onnxruntime" in packages
    assert [name for name in packages if name.startswith(("torch", "nvidia"))] == []


def test_it_serves_mounted_bundles(own: Composed) -> None:
    """With VAE_REPOSITORY=/bundles it serves only the mounted bundles."""
    models = httpx.get(f"{own.address}/models").raise_for_status().json()
    assert [model["name"] for model in models["models"]] == ["arithmetic"]


def test_stop_answers_what_is_running_and_exits_0(own: Composed) -> None:
    """The service finishes a running request after `docker stop`, then exits by itself."""
    body = json.dumps({"n": 3}).encode()
    head = (
        f"POST /sample HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    target = urlsplit(own.address)
    with socket.create_connection((target.hostname, target.port), timeout=30) as connection:
        connection.sendall(head.encode() + body[:3])
        with subprocess.Popen(["docker", "stop", own.container]) as stopping:
            _wait_for_log(own, '"Shutting down"')
            connection.sendall(body[3:])
            answer = b"".join(iter(lambda: connection.recv(65536), b""))
            assert stopping.wait(30) == 0
    assert answer.startswith(b"HTTP/1.1 200")
    assert len(json.loads(answer.partition(b"\r\n\r\n")[2])["images"]) == 3
    state = own.inspect()["State"]
    assert (state["ExitCode"], state["OOMKilled"]) == (0, False)


@pytest.mark.parametrize("profile", ["", "gpu", "train"])
def test_the_compose_file_is_valid_with_every_profile(profile: str) -> None:
    """`docker compose config` accepts the file with each profile."""
    options = ("--profile", profile) if profile else ()
    services = docker("compose", *options, "config", "--services").stdout.split()
    assert "serve" in services
    assert len(services) == (2 if profile else 1)


def _wait_for_log(service: Composed, text: str) -> None:
    until = time.monotonic() + 30
    while text not in service.logs():
        if time.monotonic() > until:
            pytest.fail(f"{text} was not logged:\n{service.logs()}")
        time.sleep(0.05)
