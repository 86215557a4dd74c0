"""Several workers as users run them: one port, one service, whatever happens to one of them."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from model.bundle.bundle import DECODER
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


@contextlib.contextmanager
def connected(port: int, count: int) -> Iterator[list[socket.socket]]:
    """Keep-alive connections, each opened once the service has answered on the one before."""
    with contextlib.ExitStack() as stack:
        opened = []
        for _ in range(count):
            address = ("127.0.0.1", port)
            opened.append(stack.enter_context(socket.create_connection(address, PATIENCE)))
            assert answered(opened[-1])
        yield opened


def answered(connection: socket.socket) -> bool:
    """Whether a request on this connection is answered with 200; else it is lost."""
    try:
        connection.sendall(SAMPLE)
        return connection.recv(65536).startswith(b"HTTP/1.1 200")
    except ConnectionError:
        return False


def split(process: Server, count: int) -> list[int]:
    """How many of the next `count` requests to /sample in the log each of two workers answered."""
    lines = [process.wait_for('"path":"/sample"') for _ in range(count)]
    return [sum(line["worker"] == number for line in lines) for number in (1, 2)]


def until_given_connections(process: Server, port: int, number: int) -> None:
    """Opens connections until a worker is among those that answer on them."""
    while True:
        with connected(port, 1):
            if process.wait_for('"path":"/sample"')["worker"] == number:
                return


def until_both_are_given_connections(process: Server, port: int) -> None:
    """As at the start, when a worker that is ready takes all until the other one is."""
    for number in (1, 2):
        until_given_connections(process, port, number)


class Coming:
    """A client who opens a connection for each request, until the service refuses them."""

    def __init__(self, port: int) -> None:
        self._answers: list[bytes] = []
        """Empty where the connection was closed or reset instead."""
        self._refused = False
        self._thread = threading.Thread(target=self._run, args=(port,), daemon=True)
        self._thread.start()
        while len(self._answers) < 16:
            time.sleep(0.01)

    def _run(self, port: int) -> None:
        while True:
            answer = b""
            try:
                with socket.create_connection(("127.0.0.1", port), PATIENCE) as connection:
                    connection.sendall(SAMPLE)
                    answer = connection.recv(65536)
            except ConnectionRefusedError:
                self._refused = True
                return
            except (ConnectionResetError, BrokenPipeError):
                pass
            self._answers.append(answer)

    def lost(self) -> int:
        """How many got no answer, after it was refused in the end; all other answers were whole."""
        self._thread.join(PATIENCE)
        assert self._refused
        assert all(answer.startswith(b"HTTP/1.1 200") for answer in self._answers if answer)
        return self._answers.count(b"")


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


@pytest.mark.parametrize("count", [16, 64])
def test_connections_are_shared_out_evenly(pair: tuple[Server, int], count: int) -> None:
    """Whichever worker the kernel gives them to, each has half, also when some have gone."""
    process, port = pair
    until_both_are_given_connections(process, port)
    with connected(port, count) as opened:
        assert max(split(process, count)) <= count // 2 + 1
        for connection in opened[: count // 2]:
            connection.close()
        assert all(map(answered, opened[count // 2 :]))  # by workers that know who has gone
        with connected(port, count // 2) as others:
            split(process, count)
            assert all(map(answered, (*opened[count // 2 :], *others)))
            assert max(split(process, count)) <= count // 2 + 1


@pytest.mark.parametrize("count", [16, 64])
def test_a_burst_is_shared_out_evenly(pair: tuple[Server, int], count: int) -> None:
    """Connections that come all at once do not all go to the worker that has fewer."""
    process, port = pair
    until_both_are_given_connections(process, port)
    burst = [socket.create_connection(("127.0.0.1", port), PATIENCE) for _ in range(count)]
    for connection in burst:
        connection.sendall(SAMPLE)
    for connection in burst:
        with connection:
            assert connection.recv(65536).startswith(b"HTTP/1.1 200")
    assert max(split(process, count)) <= count // 2 + 2


def test_a_dead_workers_share_is_taken_over(pair: tuple[Server, int]) -> None:
    """Who loses a connection gets another; the successor is given them until it has as many."""
    process, port = pair
    until_both_are_given_connections(process, port)
    with connected(port, 8) as opened:
        assert min(split(process, 8)) >= 3
        os.kill(workers(process)[1], signal.SIGKILL)
        process.wait_for("ended by SIGKILL")
        with connected(port, 8) as others:
            split(process, 8)
            until_given_connections(process, port, 1)
            with connected(port, 24) as later:
                split(process, 24)
                count = sum(map(answered, (*opened, *others, *later)))
                assert 35 <= count <= 37
                assert max(split(process, count)) <= (count + 1) // 2 + 1


def test_a_signal_while_connections_come_in_loses_none_that_was_taken(
    pair: tuple[Server, int],
) -> None:
    """Whoever was connected before the signal is answered, taken or not; later ones are answered or
    refused. In the moment in which a socket is closed the kernel resets who is being connected: of
    one who comes again and again that is one for each worker."""
    process, port = pair
    address = ("127.0.0.1", port)
    until_both_are_given_connections(process, port)
    begun = [socket.create_connection(address, PATIENCE) for _ in range(32)]
    for connection in begun:
        connection.sendall(SAMPLE[:-3])
    with connected(port, 8):  # whoever was connected before has been taken
        pass
    coming = Coming(port)
    waiting = [socket.create_connection(address, PATIENCE) for _ in range(32)]
    for connection in waiting:
        connection.sendall(SAMPLE[:-3])
    process.process.send_signal(signal.SIGTERM)
    process.wait_for("Shutting down")
    for connection in (*begun, *waiting):
        with connection:
            connection.sendall(SAMPLE[-3:])
            assert connection.recv(65536).startswith(b"HTTP/1.1 200")
    assert process.wait() == 0
    assert coming.lost() <= 2


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


def test_every_worker_unloads_and_loads_over_http(tmp_path: Path) -> None:
    """One request reaches both workers; one that replaces a dead worker stays unloaded as well."""
    arithmetic_bundle.write(tmp_path)
    with server(tmp_path, VAE_WORKERS="2", VAE_REPOSITORY_API="true") as (process, port):
        process.wait_for("all workers are ready")
        models = f"http://127.0.0.1:{port}/v2/repository/models/arithmetic-decoder"
        assert httpx.post(f"{models}/unload").status_code == 200
        assert samples(port, 8) == {503}
        os.kill(workers(process)[1], signal.SIGKILL)
        process.wait_for("ended by SIGKILL")
        while process.wait_for("Application startup complete")["worker"] != 1:
            pass
        assert samples(port, 8) == {503}
        assert httpx.post(f"{models}/load").status_code == 200
        assert samples(port, 8) == {200}
        assert process.stop() == 0
