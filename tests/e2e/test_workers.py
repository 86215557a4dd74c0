"""Several workers as users run them: one port, one service, whatever happens to one of them."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from model.bundle import DECODER
from model.cores import available_cores
from tests import arithmetic_bundle
from tests.e2e.process import PATIENCE, Server, server

SAMPLE = b"POST /sample HTTP/1.1\r\nHost: x\r\nContent-Length: 13\r\n\r\n" + b'{"seed": 1  }'


@pytest.fixture(scope="module", name="repository")
def _repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("repository")
    arithmetic_bundle.write(root)
    return root


@pytest.fixture(name="pair")
def _pair(repository: Path, tmp_path: Path) -> Iterator[tuple[Server, int]]:
    with server(repository, VAE_WORKERS="2", TMPDIR=str(tmp_path)) as (process, port):
        process.wait_for("all workers are ready")
        yield process, port


def workers(process: Server) -> dict[int, int]:
    """The workers' processes by their numbers, from the log so far."""
    lines = [json.loads(line) for line in process.lines if "Started server process" in line]
    return {line["worker"]: int(re.findall(r"\[(\d+)\]", line["message"])[0]) for line in lines}


def samples(port: int, count: int) -> set[int]:
    """The statuses of requests over a connection each."""
    return {httpx.post(f"http://127.0.0.1:{port}/sample").status_code for _ in range(count)}


def until_all_answered(process: Server, port: int) -> int:
    """Asks until each of two workers has answered, and returns how often."""
    sent, seen = 0, set[int]()
    while seen != {1, 2}:
        assert samples(port, 1) == {200}
        sent += 1
        seen.add(process.wait_for('"path":"/sample"')["worker"])
    return sent


def figure(port: int, name: str) -> float:
    text = httpx.get(f"http://127.0.0.1:{port}/metrics").text
    return float(re.findall(f"^{re.escape(name)} (.*)$", text, re.MULTILINE)[0])


def test_two_workers_are_one_service(pair: tuple[Server, int]) -> None:
    """Both answer; any of them has the figures of both; one that dies is replaced, and counts on.

    The service stays ready meanwhile, and its counters never fall.
    """
    process, port = pair
    assert httpx.get(f"http://127.0.0.1:{port}/readyz").status_code == 200
    counter = 'vae_requests_total{route="/sample",status="200"}'
    sent = until_all_answered(process, port)
    assert {figure(port, counter) for _ in range(8)} == {sent}
    assert figure(port, "vae_ready") == 1

    killed = workers(process)[1]
    os.kill(killed, signal.SIGKILL)
    process.wait_for("ended by SIGKILL")
    assert samples(port, 8) == {200}
    assert figure(port, counter) == sent + 8
    assert figure(port, "vae_ready") == 1
    while process.wait_for("Application startup complete")["worker"] != 1:
        pass
    assert workers(process)[1] != killed
    assert samples(port, 8) == {200}
    assert {figure(port, counter) for _ in range(8)} == {sent + 16}
    assert sum("running on" in line for line in process.lines) == 1


def test_a_signal_lets_running_requests_end(pair: tuple[Server, int], tmp_path: Path) -> None:
    """Requests under way in both workers are answered, and no process and no file is left."""
    process, port = pair
    pids = workers(process)
    address = ("127.0.0.1", port)
    connections = [socket.create_connection(address, timeout=PATIENCE) for _ in range(8)]
    for connection in connections:
        connection.sendall(SAMPLE[:-3])
    until_all_answered(process, port)  # whoever answers has taken what came before
    process.process.send_signal(signal.SIGTERM)
    process.wait_for("Shutting down")
    for connection in connections:
        with connection:
            connection.sendall(SAMPLE[-3:])
            assert connection.recv(65536).startswith(b"HTTP/1.1 200")
    assert process.wait() == 0
    for pid in pids.values():
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
    assert list(tmp_path.iterdir()) == []
    for line in process.lines:
        assert {"time", "level", "logger", "message"} <= set(json.loads(line))


def test_the_supervisor_has_one_thread(pair: tuple[Server, int]) -> None:
    """Forking a process with several threads may lock up the child."""
    tasks = list(Path(f"/proc/{pair[0].process.pid}/task").iterdir())
    assert len(tasks) == 1


def test_a_damaged_bundle_leaves_the_workers_live_and_not_ready(tmp_path: Path) -> None:
    """As with one process, the service starts, and says on /readyz and in the log why not."""
    path = arithmetic_bundle.write(tmp_path).folder / DECODER
    path.write_bytes(path.read_bytes()[:-1] + b"\x00")
    with server(tmp_path, "--workers", "2") as (process, port):
        while sum("not ready: " in line for line in process.lines) < 2:
            process.wait_for("not ready: ")
        for _ in range(4):
            assert httpx.get(f"http://127.0.0.1:{port}/livez").status_code == 200
            ready = httpx.get(f"http://127.0.0.1:{port}/readyz")
            assert ready.status_code == 503
            assert "decoder.onnx" in ready.json()["problems"][0]
        assert process.stop() == 0


@pytest.mark.parametrize("count", ["1", "2"])
@pytest.mark.parametrize("shares", [False, True])
def test_a_port_in_use_is_one_line(repository: Path, count: str, shares: bool) -> None:
    """Nothing starts on a port where another program listens, even one that would share it."""
    with socket.socket() as foreign:
        foreign.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, shares)
        foreign.bind(("127.0.0.1", 0))
        foreign.listen()
        port = foreign.getsockname()[1]
        process = Server(repository, "--port", str(port), "--workers", count)
        assert process.wait() == 1
    [line] = [json.loads(line) for line in process.lines]
    assert line["level"] == "error"
    assert line["message"].startswith(f"can't listen on 127.0.0.1:{port}: address already in use")


def test_ends_while_it_starts(repository: Path, tmp_path: Path) -> None:
    """A signal that comes before anything serves is a clean end as well."""
    process = Server(repository, "--workers", "2", TMPDIR=str(tmp_path))
    while not list(tmp_path.iterdir()):  # the supervisor is there, and imports the rest
        time.sleep(0.01)
    assert process.stop() == 0


def test_each_core_has_a_worker(repository: Path) -> None:
    """Nobody needs to configure it: the cores are counted, up to eight."""
    expected = min(available_cores(), 8)
    with server(repository, VAE_WORKERS="0", VAE_PROVIDER="cpu") as (process, port):
        [line] = [json.loads(line) for line in process.lines if "running on" in line]
        assert ("workers" in line["message"]) == (expected > 1)
        if expected > 1:
            assert f"with {expected} workers" in line["message"]
        assert httpx.get(f"http://127.0.0.1:{port}/livez").status_code == 200


def test_every_worker_follows_the_repository(tmp_path: Path) -> None:
    """A new version, renamed into place, and one that goes, reach both workers under requests."""
    root = tmp_path / "root"
    arithmetic_bundle.write(root)
    with server(root, VAE_WORKERS="2") as (process, port):
        process.wait_for("all workers are ready")
        made = arithmetic_bundle.write(tmp_path / "made", version=2).folder
        made.rename(root / "arithmetic" / ".2")
        (root / "arithmetic" / ".2").rename(root / "arithmetic" / "2")
        assert {process.wait_for("arithmetic/2 serves")["worker"] for _ in range(2)} == {1, 2}
        shutil.rmtree(root / "arithmetic" / "1")
        assert samples(port, 8) == {200}
        assert {process.wait_for("arithmetic/1 is unloaded")["worker"] for _ in range(2)} == {1, 2}
        assert samples(port, 8) == {200}
        old = httpx.post(f"http://127.0.0.1:{port}/sample", params={"version": 1})
        assert (old.status_code, old.json()["code"]) == (404, "unknown_version")
        assert process.stop() == 0
