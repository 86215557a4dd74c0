"""The server as users run it: a process, a port, signals and a log."""

from __future__ import annotations

import base64
import contextlib
import io
import json
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image

from tests import arithmetic_bundle
from tests.e2e.process import PATIENCE, Server, exchange, server

JSON, PNG, NPY = "application/json", "image/png", "application/x-npy"


@pytest.fixture(scope="module", name="repository")
def _repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("repository")
    arithmetic_bundle.write(root)
    return root


@pytest.fixture(scope="module", name="live")
def _live(repository: Path) -> Iterator[tuple[Server, int]]:
    with server(repository, "--max-pictures", "2000") as (process, port):
        process.wait_for("serves on")
        yield process, port


@pytest.fixture(scope="module", name="hasty")
def _hasty(repository: Path) -> Iterator[int]:
    with server(repository, "--max-pictures", "2000", VAE_TIMEOUT="0.5") as (process, port):
        process.wait_for("serves on")
        yield port


def png(level: int) -> bytes:
    file = io.BytesIO()
    Image.new("L", (4, 4), level).save(file, "PNG")
    return file.getvalue()


def post(path: str, body: bytes, *headers: bytes) -> bytes:
    lines = (b"POST " + path.encode() + b" HTTP/1.1", b"Host: x", *headers)
    length = b"Content-Length: " + str(len(body)).encode()
    return b"\r\n".join((*lines, length, b"", body))


def test_answers_the_verbs_in_every_format(live: tuple[Server, int]) -> None:
    """Over a socket each verb takes its ways of sending and answers in its formats."""
    image, latents = png(51), io.BytesIO()
    np.save(latents, np.array([[0.2, 0.0]], dtype=np.float32))
    with httpx.Client(base_url=f"http://127.0.0.1:{live[1]}") as client:
        for media in (JSON, PNG, NPY):
            headers = {"Accept": media}
            answers = [
                client.post("/sample", json={"n": 2}, headers=headers),
                client.post("/decode", json={"latents": [0.2, 0]}, headers=headers),
                client.post(
                    "/decode", content=latents.getvalue(), headers=headers | {"Content-Type": NPY}
                ),
                client.post("/reconstruct", files={"images": image}, headers=headers),
                client.post("/reconstruct", content=image, headers=headers | {"Content-Type": PNG}),
            ]
            assert [answer.status_code for answer in answers] == [200] * 5
            assert {answer.headers["content-type"] for answer in answers} == {media}
        for media in (JSON, NPY):
            answer = client.post(
                "/encode", content=image, headers={"Accept": media, "Content-Type": PNG}
            )
            assert (answer.status_code, answer.headers["content-type"]) == (200, media)
        scored = client.post("/score", content=image, headers={"Content-Type": PNG})
        assert (scored.status_code, scored.headers["content-type"]) == (200, JSON)
        assert client.get("/readyz").json()["status"] == "ready"
        assert client.get("/docs").status_code == 200


def test_a_slow_body_is_given_up_with_408(hasty: int) -> None:
    """A client that stops in the middle of its body is told so, and its connection is closed."""
    head = b"POST /sample HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{"
    received = exchange(hasty, head)
    assert received.startswith(b"HTTP/1.1 408")
    assert b'"code":"body_timeout"' in received


def test_a_client_who_leaves_frees_its_permit(live: tuple[Server, int]) -> None:
    """A request whose connection closes while it runs ends as 499, and nothing stays queued."""
    process, port = live
    image = json.dumps({"images": ["data:image/png;base64," + _base64(png(9))] * 2000})
    body = image.encode()[:-1] + b', "elbo_samples": 400}'
    headers = (b"X-Request-ID: leaver", b"Content-Type: application/json")
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(post("/reconstruct", body, *headers))
        _wait_for_work(port)
    line = process.wait_for('"leaver"')
    assert line["status"] == 499
    figures = httpx.get(f"http://127.0.0.1:{port}/metrics").text
    assert "vae_queued_pixels 0.0" in figures
    assert httpx.post(f"http://127.0.0.1:{port}/sample").status_code == 200


def _wait_for_work(port: int) -> None:
    """Returns when a request has been admitted; the deadline of this one ends it otherwise."""
    while "vae_queued_pixels 0.0" in httpx.get(f"http://127.0.0.1:{port}/metrics").text:
        time.sleep(0.01)


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()


def test_a_verb_beyond_the_deadline_is_a_504(hasty: int) -> None:
    """Work that does not fit into the deadline is given up, and the server goes on."""
    body = {"images": [_base64(png(9))] * 2000, "elbo_samples": 400}
    answer = httpx.post(f"http://127.0.0.1:{hasty}/reconstruct", json=body)
    assert (answer.status_code, answer.json()["code"]) == (504, "deadline_exceeded")
    assert httpx.get(f"http://127.0.0.1:{hasty}/livez").status_code == 200


def test_pipelined_requests_are_answered_in_order(live: tuple[Server, int]) -> None:
    """Requests sent at once over one connection are answered one after the other."""
    last = post("/sample", b'{"seed": 3}', b"Connection: close")
    received = exchange(live[1], post("/sample?seed=1", b"") + post("/sample?seed=2", b"") + last)
    assert received.count(b"HTTP/1.1 200") == 3
    positions = [received.index(b"x-vae-seed: " + seed) for seed in (b"1", b"2", b"3")]
    assert positions == sorted(positions)


@pytest.mark.parametrize(
    "request_id", [b"a\x00b", b"\xff\xfe", b"a b", b"x: y", b"a" * 4000, b"{}<script>"]
)
def test_no_request_id_reaches_the_answer_unchecked(
    live: tuple[Server, int], request_id: bytes
) -> None:
    """What is no safe id is replaced by one, or refused as HTTP; it never comes back."""
    received = exchange(
        live[1], post("/sample", b"", b"X-Request-ID: " + request_id, b"Connection: close")
    )
    assert received.startswith((b"HTTP/1.1 200", b"HTTP/1.1 400"))
    head = received.partition(b"\r\n\r\n")[0]
    assert request_id not in head


def test_a_head_without_end_is_cut_off(live: tuple[Server, int]) -> None:
    """Headers beyond the limit close the connection instead of filling the memory."""
    endless = (b"X: " + b"y" * 8192 + b"\r\n" for _ in range(40))
    try:
        received = exchange(live[1], b"GET / HTTP/1.1\r\n", *endless)
    except ConnectionError:
        received = b""
    assert received == b""
    assert httpx.get(f"http://127.0.0.1:{live[1]}/livez").status_code == 200


def test_many_connections_at_once(live: tuple[Server, int]) -> None:
    """Two hundred connections are all answered."""
    address = ("127.0.0.1", live[1])
    with contextlib.ExitStack() as stack:
        connections = [
            stack.enter_context(socket.create_connection(address, timeout=PATIENCE))
            for _ in range(200)
        ]
        for connection in connections:
            connection.sendall(post("/sample?n=2", b""))
        answers = [connection.recv(65536) for connection in connections]
    assert all(answer.startswith(b"HTTP/1.1 200") for answer in answers)


def test_idle_costs_no_processor_time(live: tuple[Server, int]) -> None:
    """A server that has work behind it and none before it uses less than 1 % of a core.

    One quiet second of several is enough: what polls or spins has none.
    """
    for _ in range(10):
        before = live[0].cpu_seconds()
        time.sleep(1)
        if live[0].cpu_seconds() - before <= 0.01:
            return
    pytest.fail("the server was at work in each of ten seconds")


def test_every_line_is_json(repository: Path) -> None:
    """From start to stop each line of output is an object with time, level and message."""
    with server(repository) as (process, port):
        process.wait_for("serves on")
        httpx.post(f"http://127.0.0.1:{port}/sample")
        assert process.stop() == 0
    assert len(process.lines) > 5
    for line in process.lines:
        assert {"time", "level", "logger", "message"} <= set(json.loads(line))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_the_running_request_end(repository: Path, number: signal.Signals) -> None:
    """A request under way when the signal comes is answered, and the process ends with 0."""
    with server(repository) as (process, port):
        process.wait_for("serves on")
        with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
            whole = post("/sample", b'{"seed": 5}')
            connection.sendall(whole[:-3])
            httpx.get(f"http://127.0.0.1:{port}/livez")
            process.process.send_signal(number)
            process.wait_for("Shutting down")
            if number == signal.SIGTERM:
                process.process.send_signal(number)
            connection.sendall(whole[-3:])
            assert connection.recv(65536).startswith(b"HTTP/1.1 200")
        assert process.wait() == 0


def test_what_does_not_end_is_cut_off_after_the_grace_period(repository: Path) -> None:
    """A request that outlives the grace period is told 503, and the process ends all the same."""
    with server(repository, "--shutdown-grace", "1") as (process, port):
        process.wait_for("serves on")
        with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
            connection.sendall(post("/sample", b'{"seed": 5}')[:-3])
            httpx.get(f"http://127.0.0.1:{port}/livez")
            process.process.send_signal(signal.SIGTERM)
            assert b'"code":"shutting_down"' in connection.recv(65536)
        assert process.wait() == 0


def test_a_port_in_use_is_one_clear_sentence(live: tuple[Server, int], repository: Path) -> None:
    """A second server on the same port says so in one error line and ends with a failure."""
    second = Server(repository, "--port", str(live[1]))
    assert second.wait() not in (0, -signal.SIGKILL)
    errors = [json.loads(line) for line in second.lines if '"error"' in line]
    assert len(errors) == 1
    assert str(live[1]) in errors[0]["message"]
    assert "address already in use" in errors[0]["message"]


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ({"VAE_TIMEOUT": "soon"}, "VAE_TIMEOUT: "),
        ({"VAE_LANES": "-1"}, "VAE_LANES: "),
        ({"VAE_PROVIDER": "tpu"}, "VAE_PROVIDER: "),
    ],
)
def test_a_bad_setting_is_one_clear_sentence(
    repository: Path, setting: dict[str, str], words: str
) -> None:
    """A setting that can't be used is named with what it was, and nothing starts."""
    process = Server(repository, **setting)
    assert process.wait() not in (0, None)
    [line] = process.lines
    assert line.startswith(words)
    assert next(iter(setting.values())) in line


def test_cuda_that_is_not_there_is_said_and_never_replaced(repository: Path) -> None:
    """Asked for CUDA on a machine without, the server is live, not ready, and says why."""
    with server(repository, VAE_PROVIDER="cuda") as (process, port):
        assert httpx.get(f"http://127.0.0.1:{port}/livez").status_code == 200
        process.wait_for("does not serve")
        ready = httpx.get(f"http://127.0.0.1:{port}/readyz")
        sample = httpx.post(f"http://127.0.0.1:{port}/sample")
    assert ready.status_code == 503
    assert "CUDA was requested" in ready.json()["problems"][0]
    assert (sample.status_code, sample.json()["code"]) == (503, "model_unavailable")
