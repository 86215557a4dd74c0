"""Loading and unloading over the inference protocol."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.app.loops import in_loop
from tests.app.protocols.oip.test_routes import check
from tests.app.serving import serving

LOAD = "/v2/repository/models/arithmetic/load"
UNLOAD = "/v2/repository/models/arithmetic-decoder/unload"


@in_loop
async def test_a_bundle_is_unloaded_and_loaded_by_either_name(repository: Path) -> None:
    """What was unloaded serves nothing, by this protocol or the service's own, until it is loaded.

    Bodies may be empty, or hold an empty object.
    """
    async with serving(repository, repository_api=True) as client:
        bodies: tuple[dict[str, Any], ...] = (
            {},
            {"json": {}},
            {"json": {"parameters": {"unload_dependents": True}}},
        )
        for body in bodies:
            assert (await client.post(UNLOAD, **body)).status_code == 200
            check(await client.get("/v2/models/arithmetic-encoder/ready"), 503)
            assert (await client.post("/sample")).status_code == 503
            answer = await client.post(LOAD)
            assert (answer.status_code, answer.content) == (200, b"")
            assert (await client.post("/sample")).status_code == 200


@pytest.mark.parametrize(
    ("path", "body", "status", "words"),
    [
        (LOAD, {"parameters": {"config": "{}"}}, 501, "overrides"),
        (LOAD, {"parameters": {"file:1/model.onnx": "AAAA"}}, 501, "overrides"),
        (LOAD, {"parameters": []}, 400, "must be an object"),
        (UNLOAD, [], 400, "object"),
        ("/v2/repository/models/absent/load", {}, 404, "absent"),
        ("/v2/repository/models/absent-encoder/unload", {}, 404, "absent"),
        ("/v2/repository/index", {"ready": 1}, 400, "true or false"),
        ("/v2/repository/index", [[[]]], 400, "object"),
    ],
)
@in_loop
async def test_what_is_not_served_is_refused(
    repository: Path, path: str, body: Any, status: int, words: str
) -> None:
    """Overrides, other bodies and unknown names are errors of the protocol; nothing is touched."""
    async with serving(repository, repository_api=True) as client:
        check(await client.post(path, json=body), status, words)
        assert (await client.post("/sample")).status_code == 200


@in_loop
async def test_a_long_body_is_refused(repository: Path) -> None:
    """JSON has its limit here too."""
    async with serving(repository, repository_api=True, max_json_bytes=1024) as client:
        check(await client.post(LOAD, content=b" " * 2000), 413, "1024 bytes")
