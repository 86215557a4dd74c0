"""Remote VAE over HTTP: which model answers, what is refused, and that nothing else happens."""

from __future__ import annotations

import asyncio
import io
import json
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from app.inference.batcher import BatchReport
from app.metrics import Metrics
from tests import arithmetic_bundle, arithmetic_maps
from tests.app.loops import in_loop
from tests.app.registries import until
from tests.app.serving import client_of, context_of, running, serving
from tests.arithmetic_maps import SCALING, SHIFT, blocks, enlarged

TENSOR = {"Content-Type": "tensor/binary", "Accept": "tensor/binary"}
SOME = np.random.default_rng(0).standard_normal((2, 3, 4, 6)).astype(np.float32)
NAMES = (
    "shape", "dtype", "output_type", "image_format", "partial_postprocess", "scaling_factor",
    "shift_factor", "do_scaling", "height", "width", "model", "version",
)  # fmt: skip
VALUES = st.one_of(
    st.sampled_from(
        ("1", "2", "3", "4", "6", "12", "float32", "float16", "uint8", "bfloat16", "pt", "pil",
         "mp4", "png", "True", "False", "0.5", "-1", "1e29", "maps")
    ),
    st.text(max_size=8),
)  # fmt: skip


def query(shape: tuple[int, ...] = SOME.shape, **parameters: Any) -> dict[str, Any]:
    return {"shape": list(shape), "dtype": "float32", "output_type": "pt", **parameters}


async def decode(
    client: httpx.AsyncClient, rows: np.ndarray[Any, Any] = SOME, **parameters: Any
) -> httpx.Response:
    return await client.post(
        "/remote-vae/decode",
        params=query(rows.shape, **parameters),
        content=rows.tobytes(),
        headers=TENSOR,
    )


def tensor(answer: httpx.Response) -> np.ndarray[Any, Any]:
    assert answer.status_code == 200, answer.text
    dtype = np.dtype(answer.headers["dtype"])
    return np.frombuffer(answer.content, dtype).reshape(json.loads(answer.headers["shape"]))


@in_loop
async def test_decode_answers_numbers(maps: Path) -> None:
    """Latents that are not scaled become the decoder's pixels, beyond −1 … 1 too."""
    async with serving(maps) as client:
        plain = tensor(await decode(client))
        own = tensor(await decode(client, do_scaling="True"))
        unit = tensor(await decode(client, output_type="pil"))
        grey = tensor(await decode(client, partial_postprocess="True"))
    wanted = enlarged(SOME)
    assert np.abs(wanted).max() > 1
    np.testing.assert_allclose(plain, wanted, atol=1e-6)
    np.testing.assert_allclose(own, wanted / SCALING + SHIFT, atol=1e-6)
    np.testing.assert_allclose(unit, np.clip(wanted / 2 + 0.5, 0, 1), atol=1e-6)
    bytes_ = np.clip((wanted.transpose(0, 2, 3, 1) + 1) * 127.5, 0, 255)
    assert grey.dtype == np.uint8
    assert np.abs(grey - bytes_).max() <= 0.51


@in_loop
async def test_encode_takes_images_and_tensors(maps: Path) -> None:
    """A file without a type, bytes and numbers of one image are the same latent."""
    image = blocks(8, 12)
    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG")
    chw = image.transpose(2, 0, 1)[None]
    numbers = (chw / 127.5 - 1).astype(np.float32)
    async with serving(maps) as client:
        params: dict[str, Any] = {"scaling_factor": 2.0, "shift_factor": 0.5}
        answers = [
            await client.post("/remote-vae/encode", params=params, content=file.getvalue()),
            await client.post(
                "/remote-vae/encode",
                params=params | {"shape": [1, 3, 8, 12], "dtype": "float32"},
                content=numbers.tobytes(),
            ),
            await client.post(
                "/remote-vae/encode",
                params=params | {"shape": [1, 3, 8, 12], "dtype": "uint8"},
                content=chw.tobytes(),
            ),
        ]
    for answer in answers:
        wanted = (numbers[:, :, ::2, ::2] - 0.5) * 2
        np.testing.assert_allclose(tensor(answer), wanted, atol=1e-5)


@pytest.mark.parametrize(
    ("written", "default", "wanted", "status"),
    [
        (("maps",), "", None, "maps/1"),
        (("maps", "arithmetic"), "", None, "maps/1"),
        (("maps", "arithmetic"), "arithmetic", None, "maps/1"),
        (("maps", "more", "arithmetic"), "more", None, "more/1"),
        (("maps", "more"), "", None, "invalid_field"),
        (("maps", "more"), "", "more", "more/1"),
        (("arithmetic",), "", None, "unsupported_by_model"),
        (("maps", "arithmetic"), "", "arithmetic", "unsupported_by_model"),
        (("maps",), "", "none", "unknown_model"),
        ((), "", None, "model_unavailable"),
    ],
)
@in_loop
async def test_which_model_answers(
    tmp_path: Path, written: tuple[str, ...], default: str, wanted: str | None, status: str
) -> None:
    """The named one; else the default if it has latent maps; else the only one that has."""
    for name in written:
        bundle = arithmetic_bundle if name == "arithmetic" else arithmetic_maps
        bundle.write(tmp_path, name=name)
    async with serving(tmp_path, default_model=default) as client:
        named: dict[str, Any] = {"model": wanted} if wanted else {}
        answer = await decode(client, **named)
    found = answer.headers.get("x-vae-model") or answer.json()["code"]
    assert found == status


@pytest.mark.parametrize(
    ("target", "wanted"),
    [
        ({}, "maps/2"),
        ({"version": 1}, "maps/1"),
        ({"model": "maps", "version": 1}, "maps/1"),
        ({"version": 3}, "unknown_version"),
        ({"version": "x"}, "invalid_field"),
        ({"version": [1, 2]}, "invalid_field"),
        ({"model": "arithmetic", "version": 1}, "unsupported_by_model"),
    ],
)
@in_loop
async def test_the_version_is_chosen_as_on_every_verb(
    tmp_path: Path, target: dict[str, Any], wanted: str
) -> None:
    """`version` goes with a model that is named, and with the one that answers by itself."""
    for version in (1, 2):
        arithmetic_maps.write(tmp_path, version=version)
    arithmetic_bundle.write(tmp_path)
    async with running(tmp_path) as app, client_of(app) as client:
        registry = context_of(app).registry
        await until(lambda: len(registry.models) == 2)
        versions = [one for model in registry.models.values() for one in model.versions]
        await until(lambda: all(one.state == "ready" for one in versions))
        decoded = await decode(client, **target)
        encoded = await client.post(
            "/remote-vae/encode", params=query((1, 3, 4, 4), **target), content=bytes(192)
        )
    for answer in (decoded, encoded):
        assert (answer.headers.get("x-vae-model") or answer.json()["code"]) == wanted


@pytest.mark.parametrize(
    ("parameters", "body", "code"),
    [
        ({"shape": [2, 3, 4, 6]}, SOME.tobytes()[:-1], "malformed_request"),
        ({"shape": [2, 3, 4, 6]}, b"", "malformed_request"),
        ({"shape": [2, 3, 4, 6]}, SOME.tobytes() + b"\0", "malformed_request"),
        ({"shape": [2, 3, 4, -6]}, SOME.tobytes(), "invalid_field"),
        ({"shape": [2, 3, 4, 2**40]}, SOME.tobytes(), "invalid_field"),
        ({"shape": [900000000, 3, 16, 16]}, SOME.tobytes(), "invalid_field"),
        ({"shape": [2, 3, 4, 6, 1]}, SOME.tobytes(), "invalid_field"),
        ({"shape": [2, 24, 3]}, SOME.tobytes(), "invalid_field"),
        ({"shape": [2, 3, 4, 6]}, np.full_like(SOME, np.nan).tobytes(), "invalid_field"),
        ({"shape": [2, 3, 4, 6], "dtype": "float64"}, SOME.tobytes(), "invalid_field"),
        ({"shape": [2, 3, 4, 6], "output_type": "mp4"}, SOME.tobytes(), "invalid_field"),
        (
            {"shape": [2, 3, 4, 6], "scaling_factor": 1e-3},
            np.full_like(SOME, 1e38).tobytes(),
            "invalid_field",
        ),
        ({}, SOME.tobytes(), "invalid_field"),
    ],
)
@in_loop
async def test_decode_refuses(
    maps: Path, parameters: dict[str, Any], body: bytes, code: str
) -> None:
    """What does not add up is told as a problem document, in JSON."""
    params = {"dtype": "float32", "output_type": "pt", **parameters}
    async with serving(maps) as client:
        answer = await client.post("/remote-vae/decode", params=params, content=body)
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] == code


@pytest.mark.parametrize(
    ("parameters", "body", "code"),
    [
        ({}, b"", "invalid_picture"),
        ({}, b"no image", "invalid_picture"),
        ({"shape": [1, 3, 4, 4], "dtype": "float32"}, bytes(7), "malformed_request"),
        ({"shape": [1, 1, 4, 4], "dtype": "float32"}, bytes(64), "invalid_field"),
        ({"shape": [1, 3, 3, 4], "dtype": "uint8"}, bytes(36), "invalid_field"),
        ({"shape": [3, 4, 4], "dtype": "uint8"}, bytes(48), "invalid_field"),
        ({"shape": [1, 3, 4, 4]}, bytes(48), "invalid_field"),
    ],
)
@in_loop
async def test_encode_refuses(
    maps: Path, parameters: dict[str, Any], body: bytes, code: str
) -> None:
    """Neither an image nor a tensor of images."""
    async with serving(maps) as client:
        answer = await client.post("/remote-vae/encode", params=parameters, content=body)
    assert answer.json()["code"] == code


@in_loop
async def test_a_mean_that_is_no_number_is_not_answered(tmp_path: Path) -> None:
    """An image file or a tensor whose latents overflow is an error, not 200 with infinities."""
    latent = arithmetic_maps.manifest().latent.model_copy(update={"scaling": 3e38, "shift": -1.0})
    arithmetic_maps.write(tmp_path, latent=latent)
    file = io.BytesIO()
    Image.new("RGB", (4, 4), "white").save(file, "PNG")
    async with serving(tmp_path) as client:
        image = await client.post("/remote-vae/encode", content=file.getvalue())
        numbers = await client.post(
            "/remote-vae/encode",
            params={"shape": [1, 3, 4, 4], "dtype": "uint8"},
            content=b"\xff" * 48,
        )
    assert (image.status_code, image.json()["code"]) == (500, "engine_failed")
    assert (numbers.status_code, numbers.json()["code"]) == (422, "invalid_field")


@in_loop
async def test_limits_hold(maps: Path) -> None:
    """Rows, pixels of the queue, pixels of an image and bytes of a body are bounded."""
    file = io.BytesIO()
    Image.fromarray(blocks(16, 16)).save(file, "PNG")
    async with serving(
        maps, max_n=2, queue_pixels=200, max_picture_pixels=100, max_body_bytes=1024
    ) as client:
        codes = [
            answer.json()["code"]
            for answer in (
                await decode(client, np.zeros((3, 3, 2, 2), np.float32)),
                await decode(client, np.zeros((2, 3, 6, 6), np.float32)),
                await decode(client, np.zeros((2, 3, 8, 8), np.float32)),
                await client.post("/remote-vae/encode", content=file.getvalue()),
                await client.post(
                    "/remote-vae/encode",
                    params={"shape": [1, 3, 16, 16], "dtype": "uint8"},
                    content=bytes(768),
                ),
            )
        ]
    assert codes == [
        "invalid_field", "request_too_large", "body_too_large", "picture_too_large",
        "request_too_large",
    ]  # fmt: skip


@in_loop
async def test_a_image_without_a_type_is_no_json(maps: Path) -> None:
    """The limit for JSON, which a body without a type has elsewhere, is not that of images."""
    async with serving(maps, max_json_bytes=1024) as client:
        answer = await client.post(
            "/remote-vae/encode",
            params={"shape": [2, 3, 16, 16], "dtype": "uint8"},
            content=bytes(1536),
        )
    assert answer.status_code == 200


@in_loop
async def test_rows_join_only_those_of_their_shape(
    maps: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Callers at once share batches of one size, and each gets their own pixels."""
    reports: list[BatchReport] = []
    monkeypatch.setattr(
        Metrics, "observe_batch", lambda self, model, program, report: reports.append(report)
    )
    rng = np.random.default_rng(1)
    sizes = [(4, 6), (2, 2), (4, 6), (8, 4), (2, 2), (4, 6)]
    rows = [rng.standard_normal((1, 3, *size)).astype(np.float32) for size in sizes]
    async with serving(maps) as client:
        answers = await asyncio.gather(*(decode(client, row) for row in rows))
    for row, answer in zip(rows, answers, strict=True):
        np.testing.assert_allclose(tensor(answer), enlarged(row), atol=1e-6)
    assert sum(report.rows for report in reports) == len(rows)


def test_any_request_is_answered_or_refused(maps: Path) -> None:
    """Whatever parameters and bytes come to either route, the answer is never a 5xx."""

    @in_loop
    async def fuzz() -> None:
        async with serving(maps) as client:
            for route, params, body in examples:
                url = f"/remote-vae/{route}?{urlencode(params)}"
                answer = await client.post(url, content=body)
                assert answer.status_code in (200, 400, 404, 413, 422), answer.text
                if answer.status_code != 200:
                    assert answer.json()["code"]

    examples: list[tuple[str, list[tuple[str, str]], bytes]] = []

    @settings(max_examples=300)
    @given(
        st.sampled_from(("decode", "encode")),
        st.lists(st.tuples(st.sampled_from(NAMES), VALUES), max_size=10),
        st.one_of(st.binary(max_size=64), st.integers(0, 600).map(bytes)),
    )
    def collect(route: str, params: list[tuple[str, str]], body: bytes) -> None:
        examples.append((route, params, body))

    collect()
    fuzz()
