"""Triton's own clients speak the Open Inference Protocol with a running server."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import shutil
import zlib
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import tritonclient.http as triton
import tritonclient.http.aio as triton_aio
from tritonclient.utils import InferenceServerException

from model.bundle.bundle import DECODER, ENCODER, open_bundle
from model.pixels import Floats
from model.runtime import Graph
from tests import arithmetic_bundle
from tests.app.loops import in_loop
from tests.arithmetic_bundle import LATENT, SIZE
from tests.e2e.process import Server, exchange, server

SHIPPED = Path(__file__).parents[2] / "model" / "bundles" / "mnist" / "3"
KINDS = ("encoder", "decoder", "reconstruct")
MiB = 1 << 20


@pytest.fixture(scope="module", name="live")
def _live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, int]]:
    root = tmp_path_factory.mktemp("repository")
    arithmetic_bundle.write(root)
    arithmetic_bundle.write(root, name="other")
    shutil.copytree(SHIPPED, root / "mnist" / "3")
    flags = ("--repository-api", "true", "--required-models", "arithmetic,mnist,other")
    with server(root, *flags, VAE_DEFAULT_MODEL="arithmetic") as (process, port):
        for _ in range(3):
            process.wait_for("serves on")
        yield process, port


@pytest.fixture(name="client")
def _client(live: tuple[Server, int]) -> Iterator[triton.InferenceServerClient]:
    client = triton.InferenceServerClient(f"127.0.0.1:{live[1]}", concurrency=4)
    yield client
    client.close()


@contextlib.asynccontextmanager
async def asynchronous(
    live: tuple[Server, int], connections: int = 10
) -> AsyncIterator[triton_aio.InferenceServerClient]:
    async with triton_aio.InferenceServerClient(
        f"127.0.0.1:{live[1]}", conn_limit=connections
    ) as client:
        yield client


def image(rows: Floats, *, binary: bool = True) -> list[triton.InferInput]:
    return [tensor("image", rows, binary=binary)]


def tensor(name: str, rows: Floats, *, binary: bool = True) -> triton.InferInput:
    made = triton.InferInput(name, list(rows.shape), "FP32")
    made.set_data_from_numpy(rows, binary_data=binary)
    return made


def levels(*values: float) -> Floats:
    """Images of one grey level each."""
    return np.repeat(np.array(values, np.float32), SIZE * SIZE).reshape(-1, 1, SIZE, SIZE)


def test_health(client: triton.InferenceServerClient) -> None:
    """The server and its models are live and ready; missing models are not."""
    assert client.is_server_live()
    assert client.is_server_ready()
    for kind in KINDS:
        assert client.is_model_ready(f"arithmetic-{kind}")
        assert client.is_model_ready(f"arithmetic-{kind}", "1")
    for absent in (("arithmetic", ""), ("absent-encoder", ""), ("arithmetic-encoder", "2")):
        assert not client.is_model_ready(*absent)


def test_metadata(client: triton.InferenceServerClient) -> None:
    """Metadata and configurations describe the inputs and outputs of the models."""
    served = client.get_server_metadata()
    assert served["name"] == "vaeserve"
    assert "model_repository" in served["extensions"]
    told = client.get_model_metadata("arithmetic-reconstruct", "1")
    assert told == client.get_model_metadata("arithmetic-reconstruct")
    assert (told["name"], told["versions"]) == ("arithmetic-reconstruct", ["1"])
    image = {"datatype": "FP32", "shape": [-1, 1, SIZE, SIZE]}
    latent = {"datatype": "FP32", "shape": [-1, LATENT]}
    assert told["inputs"] == [{"name": "image", **image}]
    assert told["outputs"] == [
        {"name": "pixels", **image},
        {"name": "mean", **latent},
        {"name": "logvar", **latent},
    ]
    config = client.get_model_config("arithmetic-decoder")
    assert config == client.get_model_config("arithmetic-decoder", "1")
    assert config["max_batch_size"] == 4096
    assert config["input"] == [{"name": "latent", "data_type": "TYPE_FP32", "dims": [LATENT]}]
    assert [output["name"] for output in config["output"]] == ["pixels", "params"]


@pytest.mark.parametrize("sent", [True, False])
@pytest.mark.parametrize("received", [True, False])
@pytest.mark.parametrize("request_compression", [None, "gzip", "deflate"])
@pytest.mark.parametrize("response_compression", [None, "gzip", "deflate"])
def test_infer_in_every_form(
    client: triton.InferenceServerClient,
    sent: bool,
    received: bool,
    request_compression: str | None,
    response_compression: str | None,
) -> None:
    """JSON and bytes, compressed or not, give the same numbers and repeat the id."""
    answer = client.infer(
        "arithmetic-reconstruct",
        image(levels(0.25, 0.5), binary=sent),
        model_version="1",
        request_id="ä-7",
        outputs=[
            triton.InferRequestedOutput("mean", binary_data=received),
            triton.InferRequestedOutput("pixels", binary_data=not received),
        ],
        request_compression_algorithm=request_compression,
        response_compression_algorithm=response_compression,
    )
    told = answer.get_response()
    assert (told["id"], told["model_name"]) == ("ä-7", "arithmetic-reconstruct")
    assert told["model_version"] == "1"
    assert [output["name"] for output in told["outputs"]] == ["mean", "pixels"]
    binary = ["binary_data_size" in output.get("parameters", {}) for output in told["outputs"]]
    assert binary == [received, not received]
    assert answer.as_numpy("mean").tolist() == [[0.25, 0.25], [0.5, 0.5]]
    assert (answer.as_numpy("pixels") == levels(0.25, 0.5)).all()
    assert answer.as_numpy("logvar") is None


def test_infer_without_outputs_answers_all_of_them(client: triton.InferenceServerClient) -> None:
    """Without named outputs, all come in order as bytes; custom parameters have no effect."""
    answer = client.infer(
        "arithmetic-decoder",
        [tensor("latent", np.array([[2.5, 0]], np.float32))],
        priority=3,
        parameters={"custom": "x"},
    )
    assert [output["name"] for output in answer.get_response()["outputs"]] == ["pixels", "params"]
    assert (answer.as_numpy("pixels") == 1).all()
    assert (answer.as_numpy("params") == 2.5).all()


def test_async_infer_of_the_synchronous_client(client: triton.InferenceServerClient) -> None:
    """Concurrent requests each get their own rows."""
    waiting = [client.async_infer("arithmetic-encoder", image(levels(k / 32))) for k in range(32)]
    means = [one.get_result().as_numpy("mean")[0, 0] for one in waiting]
    assert means == [k / 32 for k in range(32)]


def test_answers_are_those_of_the_graphs(client: triton.InferenceServerClient) -> None:
    """Outputs of the shipped bundle equal those of onnxruntime bit for bit."""
    bundle = open_bundle(SHIPPED)
    encoder, decoder = Graph(bundle.read(ENCODER)), Graph(bundle.read(DECODER))
    rows = np.random.default_rng(7).random((5, 1, 28, 28), np.float32)
    mean, logvar = encoder.run(rows, ("mean", "logvar"))
    pixels, params = decoder.run(mean, ("pixels", "params"))
    for binary in (True, False):
        encoded = client.infer("mnist-encoder", image(rows, binary=binary))
        decoded = client.infer("mnist-decoder", [tensor("latent", mean, binary=binary)])
        both = client.infer("mnist-reconstruct", image(rows, binary=binary))
        for answer, name, wanted in (
            (encoded, "mean", mean),
            (encoded, "logvar", logvar),
            (decoded, "pixels", pixels),
            (decoded, "params", params),
            (both, "pixels", pixels),
            (both, "mean", mean),
            (both, "logvar", logvar),
        ):
            np.testing.assert_array_equal(answer.as_numpy(name), wanted)


def test_statistics_count_what_was_asked(client: triton.InferenceServerClient) -> None:
    """Statistics count the requests, rows, batches and failures of each model alone."""

    def counts(name: str, version: str = "") -> dict[str, Any]:
        [entry] = client.get_inference_statistics(name, version)["model_stats"]
        return dict(entry)

    before, others = counts("other-encoder"), counts("other-decoder")
    for rows in (1, 2, 2):
        client.infer("other-encoder", image(levels(*[0.5] * rows)))
    with pytest.raises(InferenceServerException):
        client.infer("other-encoder", image(np.zeros((1, 1, 5, 5), np.float32)))
    after = counts("other-encoder", "1")
    assert after["inference_count"] - before["inference_count"] == 5
    assert after["execution_count"] - before["execution_count"] == 3
    assert after["last_inference"] > before["last_inference"]
    stats = {name: figure["count"] for name, figure in after["inference_stats"].items()}
    assert stats == {
        "success": 3,
        "fail": 1,
        "queue": 3,
        "compute_input": 3,
        "compute_infer": 3,
        "compute_output": 3,
        "cache_hit": 0,
        "cache_miss": 0,
    }
    sizes = [(one["batch_size"], one["compute_infer"]["count"]) for one in after["batch_stats"]]
    assert sizes == [(1, 1), (2, 2)]
    assert all(one["compute_infer"]["ns"] > 0 for one in after["batch_stats"])
    assert counts("other-decoder") == others
    everything = client.get_inference_statistics()["model_stats"]
    assert {entry["name"] for entry in everything} == {
        f"{bundle}-{kind}" for bundle in ("arithmetic", "mnist", "other") for kind in KINDS
    }


def test_the_repository_is_listed_unloaded_and_loaded(
    client: triton.InferenceServerClient,
) -> None:
    """Unloading one of a bundle's models unloads all three, and loading restores them."""

    def states() -> set[str]:
        index = client.get_model_repository_index()
        return {one["state"] for one in index if one["name"].startswith("other-")}

    assert states() == {"READY"}
    client.unload_model("other-decoder")
    assert states() == {"UNAVAILABLE"}
    assert not client.is_model_ready("other-encoder")
    with pytest.raises(InferenceServerException, match=r"\[503\]"):
        client.infer("other-encoder", image(levels(0.5)))
    client.load_model("other")
    assert states() == {"READY"}
    client.unload_model("other", unload_dependents=True)
    client.load_model("other-reconstruct")
    assert client.infer("other-encoder", image(levels(0.5))).as_numpy("mean")[0, 0] == 0.5
    for overrides in ({"config": "{}"}, {"files": {"file:1/model.onnx": b"x"}, "config": "{}"}):
        with pytest.raises(InferenceServerException, match=r"\[501\].*overrides"):
            client.load_model("other", **overrides)
    for change in (client.load_model, client.unload_model):
        with pytest.raises(InferenceServerException, match=r"\[404\].*absent"):
            change("absent-encoder")


ABSENT: dict[str, Callable[[Any], Any]] = {
    "trace": lambda client: client.get_trace_settings(),
    "trace of a model": lambda client: client.update_trace_settings(
        "arithmetic-encoder", {"trace_rate": "1"}
    ),
    "logging": lambda client: client.get_log_settings(),
    "new logging": lambda client: client.update_log_settings({"log_info": True}),
    "shared memory": lambda client: client.get_system_shared_memory_status(),
    "new shared memory": lambda client: client.register_system_shared_memory("a", "/a", 8),
    "less shared memory": lambda client: client.unregister_system_shared_memory("a"),
    "CUDA memory": lambda client: client.get_cuda_shared_memory_status(),
    "new CUDA memory": lambda client: client.register_cuda_shared_memory("a", b"a", 0, 8),
    "less CUDA memory": lambda client: client.unregister_cuda_shared_memory(),
}


@pytest.mark.parametrize("name", ABSENT)
def test_what_is_not_there_is_told_in_words(
    client: triton.InferenceServerClient, name: str
) -> None:
    """The client understands the refusal of every extension that is not advertised."""
    with pytest.raises(InferenceServerException, match=r"\[404\] /v2/.* does not exist"):
        ABSENT[name](client)


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "type": ({"inputs": [triton.InferInput("image", [1, 1, 4, 4], "FP16")]}, "FP32.*FP16"),
    "sequence": ({"sequence_id": 5}, r"\[501\].*sequence"),
    "classification": (
        {"outputs": [triton.InferRequestedOutput("mean", class_count=2)]},
        r"\[501\].*classif",
    ),
    "output": ({"outputs": [triton.InferRequestedOutput("score")]}, "does not exist"),
    "timeout": ({"timeout": 1}, r"\[504\].*1e-06 s"),
    "version": ({"model_version": "2"}, r"\[404\].*no version 2"),
    "no version": ({"model_version": "one"}, r"\[404\].*version 'one' does not exist"),
    "model": ({"model_name": "arithmetic"}, r"\[404\].*-encoder"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_refusal_is_told_in_words(client: triton.InferenceServerClient, name: str) -> None:
    """An invalid request raises the client's error, and the next request succeeds."""
    changes, words = REFUSED[name]
    for given in changes.get("inputs", ()):
        given.set_data_from_numpy(np.zeros((1, 1, 4, 4), np.float16))
    request = {"model_name": "arithmetic-encoder", "inputs": image(levels(0.5))} | changes
    with pytest.raises(InferenceServerException, match=words):
        client.infer(**request)
    assert client.infer("arithmetic-encoder", image(levels(0.5))).as_numpy("mean")[0, 0] == 0.5


@in_loop
async def test_every_call_of_the_asynchronous_client(live: tuple[Server, int]) -> None:
    """The aiohttp client, which announces compression in every request, can call every route."""
    async with asynchronous(live) as client:
        assert await client.is_server_live()
        assert await client.is_server_ready()
        assert await client.is_model_ready("arithmetic-encoder", "1")
        assert not await client.is_model_ready("absent-encoder")
        assert (await client.get_server_metadata())["name"] == "vaeserve"
        told = await client.get_model_metadata("mnist-encoder")
        assert told["inputs"][0]["shape"] == [-1, 1, 28, 28]
        assert (await client.get_model_config("mnist-encoder"))["input"][0]["dims"] == [1, 28, 28]
        assert len(await client.get_model_repository_index()) == 9
        for name in ("", "arithmetic-encoder"):
            assert (await client.get_inference_statistics(name))["model_stats"]
        await client.unload_model("other")
        await client.load_model("other")
        with pytest.raises(InferenceServerException, match="overrides"):
            await client.load_model("other", config=json.dumps({"backend": "x"}))
        for call in ABSENT.values():
            with pytest.raises(InferenceServerException, match=r"\[404\] .* does not exist"):
                await call(client)
        for name in REFUSED:
            changes, words = REFUSED[name]
            for given in changes.get("inputs", ()):
                given.set_data_from_numpy(np.zeros((1, 1, 4, 4), np.float16))
            request = {"model_name": "arithmetic-encoder", "inputs": image(levels(0.5))}
            with pytest.raises(InferenceServerException, match=words):
                await client.infer(**request | changes)


@pytest.mark.parametrize("sent", [None, "gzip", "deflate"])
@pytest.mark.parametrize("received", [None, "gzip", "deflate"])
@in_loop
async def test_infer_by_the_asynchronous_client(
    live: tuple[Server, int], sent: str | None, received: str | None
) -> None:
    """Bytes and JSON work with both kinds of compression and without."""
    async with asynchronous(live) as client:
        for binary in (True, False):
            answer = await client.infer(
                "arithmetic-encoder",
                image(levels(0.75), binary=binary),
                request_id="7",
                outputs=[triton_aio.InferRequestedOutput("mean", binary_data=binary)],
                request_compression_algorithm=sent,
                response_compression_algorithm=received,
            )
            assert answer.get_response()["id"] == "7"
            assert answer.as_numpy("mean").tolist() == [[0.75, 0.75]]


@in_loop
async def test_callers_who_share_batches_get_their_own_rows(live: tuple[Server, int]) -> None:
    """Each of 300 concurrent requests of one to three rows gets its own results."""
    random = np.random.default_rng(3)
    asked = [
        random.random((int(random.integers(1, 4)), 1, SIZE, SIZE), np.float32) for _ in range(300)
    ]
    async with asynchronous(live, connections=64) as client:
        answers = await asyncio.gather(
            *(client.infer("arithmetic-encoder", image(rows)) for rows in asked)
        )
    for rows, answer in zip(asked, answers, strict=True):
        np.testing.assert_allclose(
            answer.as_numpy("mean"),
            np.stack([rows.mean(axis=(1, 2, 3)), rows[:, 0, 0, 0]], axis=1),
            rtol=1e-6,
        )


def resident(process: Server) -> int:
    """The server's memory in bytes."""
    fields = Path(f"/proc/{process.process.pid}/statm").read_text().split()
    return int(fields[1]) * 4096


@pytest.fixture(scope="module", name="narrow")
def _narrow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, int]]:
    root = tmp_path_factory.mktemp("repository")
    arithmetic_bundle.write(root)
    with server(root, "--max-body-bytes", str(4 * MiB), VAE_TIMEOUT="2") as (process, port):
        process.wait_for("serves on")
        yield process, port


def error_of(response: bytes) -> str:
    """Checks that `error` is the only member, and returns its sentence."""
    document = json.loads(response.partition(b"\r\n\r\n")[2])
    assert list(document) == ["error"]
    sentence: str = document["error"]
    return sentence


def request(*headers: str, body: bytes = b"") -> bytes:
    lines = ("POST /v2/models/arithmetic-encoder/infer HTTP/1.1", "Host: x", *headers)
    return "\r\n".join((*lines, "", "")).encode() + body


def test_memory_does_not_grow_with_refused_requests(narrow: tuple[Server, int]) -> None:
    """Decompression bombs, long JSON, deep lists and inconsistent tensors leak no memory."""
    process, port = narrow
    infer = f"http://127.0.0.1:{port}/v2/models/arithmetic-encoder/infer"
    json_ = b'{"inputs":[' + b"[]," * MiB + b"[]]}"
    refused = [
        ({"Content-Encoding": "gzip"}, gzip.compress(bytes(64 * MiB)), 413),
        ({"Content-Encoding": "deflate"}, zlib.compress(bytes(64 * MiB)), 413),
        ({}, json_, 400),
        ({}, b" " * (5 * MiB), 413),
        ({"Inference-Header-Content-Length": "0"}, bytes(3 * MiB), 400),
        ({"Content-Encoding": "gzip"}, gzip.compress(bytes(3 * MiB)), 400),
    ]
    with httpx.Client(timeout=60) as client:

        def ask(rounds: int) -> int:
            for _ in range(rounds):
                for headers, body, status in refused:
                    answer = client.post(infer, content=body, headers=headers)
                    assert answer.status_code == status
                    assert list(answer.json()) == ["error"]
            return resident(process)

        before = ask(5)
        after = ask(20)
    # One body that stayed each time would be 20 times 3 MiB at least.
    assert after - before < 16 * MiB


def test_a_body_that_is_announced_too_large_is_refused_at_once(narrow: tuple[Server, int]) -> None:
    """The protocol's error comes before the body has arrived."""
    answer = exchange(narrow[1], request(f"Content-Length: {8 * MiB}", "Expect: 100-continue"))
    assert answer.startswith(b"HTTP/1.1 413")
    assert str(4 * MiB) in error_of(answer)


def test_a_large_body_that_is_sent_all_the_same_is_answered(narrow: tuple[Server, int]) -> None:
    """A client that writes its whole body before it reads gets a response, not a broken pipe."""
    answer = exchange(narrow[1], request(f"Content-Length: {8 * MiB}", body=bytes(8 * MiB)))
    assert answer.startswith(b"HTTP/1.1 413")
    assert "4194304" in error_of(answer)


def test_a_body_that_never_ends_is_given_up(narrow: tuple[Server, int]) -> None:
    """A body that stops arriving gets the protocol's 408 after the deadline."""
    answer = exchange(narrow[1], request("Content-Length: 100", body=b"{"))
    assert answer.startswith(b"HTTP/1.1 408")
    assert "2 s" in error_of(answer)


def test_chunks_are_taken(narrow: tuple[Server, int]) -> None:
    """A body without a length is read to its end."""
    body = b"5\r\n{}   \r\n0\r\n\r\n"
    sent = request("Transfer-Encoding: chunked", "Connection: close", body=body)
    assert "inputs is missing" in error_of(exchange(narrow[1], sent))
