"""The inference protocol over HTTP, byte by byte: its answers, and its one shape of error."""

from __future__ import annotations

import asyncio
import gzip
import json
import zlib
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.errors import (
    BodyTimeoutError,
    EngineFailedError,
    QueueFullError,
    ServiceError,
    ShuttingDownError,
)
from app.inference.engine import Engine
from app.protocols.oip import infer
from model.bundle.bundle import DECODER
from model.pixels import Floats
from tests import arithmetic_bundle
from tests.app.inference.test_pipelines import write_squaring
from tests.app.loops import in_loop
from tests.app.protocols.oip.wire import entry, length
from tests.app.serving import client_of, context_of, loaded, running, serving
from tests.arithmetic_bundle import LATENT, SIZE

Send = Callable[[httpx.AsyncClient], Awaitable[httpx.Response]]

INFER = "/v2/models/arithmetic-encoder/infer"


def images(*values: float) -> Floats:
    return np.repeat(np.array(values, np.float32), SIZE * SIZE).reshape(-1, 1, SIZE, SIZE)


def body(array: Floats, **changes: Any) -> bytes:
    return orjson.dumps({"inputs": [entry(array)]} | changes)


def post(content: bytes, path: str = INFER, **headers: str) -> Send:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda client: client.post(path, content=content, headers=named)


def check(answer: httpx.Response, status: int, words: str = "") -> str:
    """The sentence of an error of the protocol."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    document = answer.json()
    assert list(document) == ["error"]
    assert isinstance(document["error"], str)
    assert words in document["error"]
    return document["error"]


@in_loop
async def test_answers_without_any_header_of_the_client(repository: Path) -> None:
    """A body without Content-Type, as the synchronous client sends it, is taken as it is."""
    async with serving(repository) as client:
        answer = await client.post(INFER, content=body(images(0.5)))
        assert "content-type" not in answer.request.headers
        document = answer.json()
        [mean, logvar] = document["outputs"]
        assert (mean["data"], logvar["data"]) == ([0.5, 0.5], [0, 0])
        assert answer.headers["content-type"] == "application/json"
        raw = await client.post(INFER, content=images(0.5).tobytes(), headers=length(0))
        size = int(raw.headers["inference-header-content-length"])
        assert raw.headers["content-type"] == "application/octet-stream"
        assert np.frombuffer(raw.content[size:], "<f4").tolist() == [0.5, 0.5, 0, 0]


@in_loop
async def test_the_server_is_described_with_and_without_a_slash(repository: Path) -> None:
    """Both addresses answer themselves, since not every client follows a redirect."""
    async with serving(repository) as client:
        for path in ("/v2", "/v2/"):
            answer = await client.get(path)
            assert (answer.status_code, answer.json()["name"]) == (200, "vaeserve")
        assert (await client.head("/v2")).status_code == 200
        check(await client.get("/v2/models/stats/"), 404)
        assert "model_stats" in (await client.get("/v2/models/stats")).json()


@in_loop
async def test_answers_are_plain_unless_asked_for(repository: Path) -> None:
    """Only infer compresses, and only for exactly one encoding."""
    async with serving(repository) as client:
        for path in ("/v2", "/v2/models/stats", "/v2/models/arithmetic-encoder/config"):
            answer = await client.get(path, headers={"Accept-Encoding": "gzip"})
            assert "content-encoding" not in answer.headers
        for sent, wanted in (("gzip", "gzip"), ("deflate", "deflate"), ("gzip, deflate", None)):
            answer = await post(body(images(1)), Accept_Encoding=sent)(client)
            assert answer.headers.get("content-encoding") == wanted
            assert answer.json()["outputs"][0]["data"] == [1, 1]


REFUSED: dict[str, tuple[Send, int, str]] = {
    "path": (lambda client: client.get("/v2/nothing"), 404, "/v2/nothing does not exist"),
    "model's path": (lambda client: client.get("/v2/models/a/b/c"), 404, "does not exist"),
    "method": (lambda client: client.get(INFER), 405, "does not support GET"),
    "server's method": (lambda client: client.post("/v2"), 405, "does not support POST"),
    "model": (post(b"{}", "/v2/models/absent-encoder/infer"), 404, "'absent'"),
    "bundle": (post(b"{}", "/v2/models/arithmetic/infer"), 404, "-encoder"),
    "version": (post(b"{}", "/v2/models/arithmetic-encoder/versions/2/infer"), 404, "2"),
    "ready": (lambda client: client.get("/v2/models/absent-decoder/ready"), 404, "absent"),
    "config": (lambda client: client.get("/v2/models/absent/config"), 404, "absent"),
    "statistics": (lambda client: client.get("/v2/models/absent-decoder/stats"), 404, "absent"),
    "empty": (post(b""), 400, "the body is empty"),
    "no JSON": (post(b"{"), 400, "not JSON"),
    "length": (post(b"{}", Inference_Header_Content_Length="x"), 400, "number of bytes"),
    "long header": (post(b"{}", Inference_Header_Content_Length="3"), 400, "has 2 bytes"),
    "raw": (post(bytes(63), Inference_Header_Content_Length="0"), 400, "one row"),
    "encoding": (post(b"{}", Content_Encoding="br"), 415, "gzip, deflate"),
    "no gzip": (post(b"{}", Content_Encoding="gzip"), 400, "is not valid gzip"),
    "bomb": (post(gzip.compress(bytes(9000)), Content_Encoding="gzip"), 413, "4096 bytes"),
    "large": (post(bytes(5000)), 413, "4096 bytes"),
    "long JSON": (post(b" " * 3000), 413, "send tensors as binary"),
    "rows": (post(body(images(*[0] * 9))), 400, "1 … 8"),
    "pixels": (post(body(images(*[0] * 8))), 400, "split it"),
    "classes": (
        post(body(images(0), outputs=[{"name": "mean", "parameters": {"classification": 1}}])),
        501,
        "no classes",
    ),
    "timeout": (post(body(images(0), parameters={"timeout": 1})), 504, "1e-06 s"),
    "load": (post(b"{}", "/v2/repository/models/arithmetic/load"), 403, "VAE_REPOSITORY_API"),
    "unload": (post(b"{}", "/v2/repository/models/arithmetic/unload"), 403, "operator"),
}


@pytest.mark.parametrize("name", REFUSED)
@in_loop
async def test_every_error_is_the_protocols(repository: Path, name: str) -> None:
    """Whatever refuses a request below /v2 says why in the one member that clients read."""
    send, status, words = REFUSED[name]
    limits = {"max_body_bytes": 4096, "max_json_bytes": 2048, "max_n": 8, "queue_pixels": 112}
    async with serving(repository, **limits) as client:
        answer = await send(client)
        check(answer, status, words)
        assert answer.headers["x-request-id"]
        if status == 405:
            assert answer.headers["allow"] in ("GET", "POST")
        assert (await client.post(INFER, content=body(images(0)))).status_code == 200


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (QueueFullError("no room", retry_after=1), 429),
        (ShuttingDownError("stopping"), 503),
        (EngineFailedError("the graph failed"), 500),
        (BodyTimeoutError("too slow"), 408),
    ],
    ids=lambda value: getattr(value, "code", ""),
)
@in_loop
async def test_domain_errors_keep_their_headers(
    repository: Path, monkeypatch: pytest.MonkeyPatch, error: ServiceError, status: int
) -> None:
    """Full queues and stopping servers say when to try again; a slow body ends the connection."""

    async def fail(*arguments: object) -> None:
        raise error

    monkeypatch.setattr(infer, "run", fail)
    async with serving(repository) as client:
        answer = await client.post(INFER, content=body(images(0)))
    check(answer, status, error.detail)
    assert answer.headers.get("retry-after") == ("1" if status in (429, 503) else None)
    assert answer.headers.get("connection") == ("close" if status == 408 else None)


@in_loop
async def test_a_defect_tells_nothing_of_its_insides(
    repository: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What nobody foresaw is a 500 of the protocol from the outermost layer, and is logged."""

    async def fail(*arguments: object) -> None:
        raise ZeroDivisionError("secret")

    monkeypatch.setattr(infer, "run", fail)
    async with serving(repository) as client:
        sentence = check(await client.post(INFER, content=body(images(0))), 500)
    assert "secret" not in sentence
    assert "ZeroDivisionError: secret" in caplog.text


@in_loop
async def test_a_full_queue_answers_at_once(repository: Path) -> None:
    """With the queue taken a request is refused, and its place is not kept."""
    async with running(repository, queue_pixels=100) as app, client_of(app) as client:
        await loaded(app)
        admission = context_of(app).service.admission
        with admission.admit(100):
            answer = await client.post(INFER, content=body(images(0)))
        check(answer, 429, "full")
        assert answer.headers["retry-after"] == "1"
        assert (await client.post(INFER, content=body(images(0)))).status_code == 200
        assert admission.used == 0


@in_loop
async def test_before_the_models_are_loaded_nothing_is_ready(repository: Path) -> None:
    """The server is live, and says what it waits for."""
    async with running(repository) as app, client_of(app) as client:
        assert (await client.get("/v2/health/live")).status_code == 200
        check(await client.get("/v2/health/ready"), 503, "still loading")
        check(await client.get("/v2/models/arithmetic-encoder/ready"), 503, "still loading")
        await loaded(app)
        assert (await client.get("/v2/health/ready")).status_code == 200


@in_loop
async def test_a_damaged_bundle_says_why(tmp_path: Path) -> None:
    """The index has the reason, and whoever asks for the model reads it."""
    path = arithmetic_bundle.write(tmp_path).folder / DECODER
    path.write_bytes(path.read_bytes()[:-1] + b"\x00")
    async with serving(tmp_path) as client:
        index = (await client.post("/v2/repository/index")).json()
        refused = await client.post(INFER, content=body(images(0)))
        ready = (await client.post("/v2/repository/index", json={"ready": True})).json()
    check(refused, 503, "decoder.onnx")
    assert refused.headers["retry-after"]
    assert {one["state"] for one in index} == {"UNAVAILABLE"}
    assert "decoder.onnx" in index[0]["reason"]
    assert ready == []


@in_loop
async def test_answers_that_are_no_numbers_are_the_callers_fault(tmp_path: Path) -> None:
    """Finite latents whose pixels are not are a 400 with their row, as bytes and as JSON."""
    write_squaring(tmp_path)
    latents = np.array([[0.5, 0], [3e38, 0]], np.float32)
    content = orjson.dumps({"inputs": [entry(latents, name="latent")]})
    async with serving(tmp_path) as client:
        for binary in (True, False):
            changed = json.loads(content) | {"parameters": {"binary_data_output": binary}}
            answer = await client.post("/v2/models/squares-decoder/infer", json=changed)
            check(answer, 400, "row 1 of 'latent' gives non-finite pixels")


@in_loop
async def test_rows_of_many_callers_share_batches(repository: Path) -> None:
    """Concurrent requests run in fewer batches than there are requests, each with its own rows."""
    async with running(repository) as app, client_of(app) as client:
        await loaded(app)
        answers = await asyncio.gather(
            *(client.post(INFER, content=body(images(k / 64))) for k in range(64))
        )
        entry_ = (await client.get("/v2/models/arithmetic-encoder/stats")).json()["model_stats"][0]
    means = [answer.json()["outputs"][0]["data"][0] for answer in answers]
    assert means == [k / 64 for k in range(64)]
    assert entry_["inference_count"] == 64
    assert entry_["execution_count"] < 64
    waited = entry_["inference_stats"]["queue"]["count"]
    assert waited == entry_["inference_stats"]["success"]["count"] == 64
    by_size = {one["batch_size"]: one["compute_infer"]["count"] for one in entry_["batch_stats"]}
    assert sum(size * count for size, count in by_size.items()) == 64
    assert sum(by_size.values()) == entry_["execution_count"]


@in_loop
async def test_the_engine_is_used_for_the_cost_of_all_stages(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reconstruction costs twice its pixels, and all is given back."""
    costs: list[int] = []
    begin = Engine.begin
    async with running(repository) as app, client_of(app) as client:
        await loaded(app)
        admission = context_of(app).service.admission

        def note(engine: Engine) -> None:
            costs.append(admission.used)
            begin(engine)

        monkeypatch.setattr(Engine, "begin", note)
        latents = orjson.dumps({"inputs": [entry(np.ones((3, LATENT), np.float32), name="latent")]})
        for kind, content in (
            ("encoder", body(images(0, 1))),
            ("decoder", latents),
            ("reconstruct", body(images(0, 1))),
        ):
            answer = await client.post(f"/v2/models/arithmetic-{kind}/infer", content=content)
            assert answer.status_code == 200
        assert admission.used == context_of(app).inflated.used == 0
    row = SIZE * SIZE
    assert costs == [2 * row, 3 * row, 4 * row]


ENCODINGS: list[tuple[str | None, Callable[[bytes], bytes]]] = [
    (None, bytes),
    ("gzip", gzip.compress),
    ("deflate", zlib.compress),
    ("gzip", bytes),
]


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_whatever_is_sent_is_answered_or_refused(repository: Path, data: st.DataObject) -> None:
    """Cut, doubled and damaged requests, compressed or not, with any length: 200, or the one shape
    of error with a status of the caller's; never a 500."""
    array = images(0.5)
    parameters = {"binary_data_size": array.nbytes}
    head = orjson.dumps({"inputs": [entry(array, data=None, parameters=parameters)]})
    whole = data.draw(st.sampled_from([head + array.tobytes(), body(array), array.tobytes()]))
    start, stop = data.draw(st.tuples(*[st.integers(0, len(whole))] * 2).map(sorted))
    middle = data.draw(st.binary(max_size=6) | st.just(whole[start:stop]))
    content = whole[:start] + middle + whole[data.draw(st.sampled_from([start, stop])) :]
    encoding, compress = data.draw(st.sampled_from(ENCODINGS))
    said = data.draw(st.sampled_from([None, 0, len(head), len(content)]) | st.integers(0, 400))
    headers = {} if said is None else length(said)
    if encoding is not None:
        headers["Content-Encoding"] = encoding
    answer = asyncio.run(_ask(repository, compress(content), headers))
    if answer.status_code == 200:
        outputs = answer.content[: int(answer.headers.get("inference-header-content-length", 9999))]
        assert json.loads(outputs)["outputs"][0]["shape"] == [1, LATENT]
    else:
        check(answer, 400)


async def _ask(repository: Path, content: bytes, headers: dict[str, str]) -> httpx.Response:
    async with serving(repository) as client:
        return await client.post(INFER, content=content, headers=headers)


@in_loop
async def test_headers_that_come_twice_are_refused(repository: Path) -> None:
    """Of two lengths or encodings none is chosen."""
    async with serving(repository) as client:
        for name, value in (("Inference-Header-Content-Length", "5"), ("Content-Encoding", "gzip")):
            headers = [(name, value), (name, value)]
            check(await client.post(INFER, content=b"{}", headers=headers), 400, "sent 2 times")


@in_loop
async def test_openapi_has_the_routes_under_a_tag_of_their_own(repository: Path) -> None:
    """The page shows every route below /v2 together, with its parameters and the error's shape."""
    async with serving(repository) as client:
        paths = (await client.get("/openapi.json")).json()["paths"]
    found = {path: item for path, item in paths.items() if path.startswith("/v2")}
    assert len(found) == 17
    for path, item in found.items():
        for operation in item.values():
            assert operation["tags"] == ["Open Inference Protocol v2"]
            told = {one["name"] for one in operation.get("parameters", ())}
            assert told == {part[1:-1] for part in path.split("/") if part.startswith("{")}
            for status, response in operation["responses"].items():
                if status != "200":
                    schema = response["content"]["application/json"]["schema"]
                    assert schema["required"] == ["error"]
