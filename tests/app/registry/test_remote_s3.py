"""A repository in a real S3 server, over its protocol."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import s3fs
from moto.server import ThreadedMotoServer

from app.registry.remote import RemoteRoot
from model.bundle.bundle import DECODER, open_bundle
from tests import arithmetic_bundle
from tests.app.loops import in_loop
from tests.app.serving import serving


@pytest.fixture(name="bucket")
def _bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[s3fs.S3FileSystem]:
    """A server on a free port, the way to it in the environment, and a bucket."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    port = server.get_host_and_port()[1]
    for name, value in (
        ("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}"),
        ("AWS_ACCESS_KEY_ID", "key"),
        ("AWS_SECRET_ACCESS_KEY", "secret"),
        ("AWS_DEFAULT_REGION", "us-east-1"),
    ):
        monkeypatch.setenv(name, value)
    s3fs.S3FileSystem.clear_instance_cache()
    fs = s3fs.S3FileSystem()
    fs.mkdir("models")
    yield fs
    fs.rm("models", recursive=True)  # moto keeps what one server had for the next
    s3fs.S3FileSystem.clear_instance_cache()
    server.stop()


def test_fetches_from_s3(bucket: s3fs.S3FileSystem, tmp_path: Path) -> None:
    """Versions come below a prefix, a damaged one is refused, and what is gone goes."""
    for version in (1, 2):
        folder = arithmetic_bundle.write(tmp_path / "made", version=version).folder
        bucket.put(str(folder), f"models/prefix/arithmetic/{version}", recursive=True)
    bucket.pipe_file(f"models/prefix/arithmetic/2/{DECODER}", b"damaged")
    root = RemoteRoot("s3://models/prefix", tmp_path / "cache")
    root.fetch(None)
    assert f"{DECODER}: 7 bytes" in root.unfetched["arithmetic"][2]
    open_bundle(root.folder / "arithmetic" / "1")
    bucket.rm("models/prefix/arithmetic/2", recursive=True)
    root.fetch("arithmetic")
    assert (root.problem, root.unfetched) == ("", {})
    other = RemoteRoot("s3://models/other", tmp_path)
    other.fetch(None)
    assert "is missing" in other.problem


@in_loop
async def test_serves_from_s3(bucket: s3fs.S3FileSystem, tmp_path: Path) -> None:
    """With the address as repository the service answers, and says where its models are from."""
    folder = arithmetic_bundle.write(tmp_path / "made").folder
    bucket.put(str(folder), "models/arithmetic/1", recursive=True)
    async with serving("s3://models", cache=str(tmp_path / "cache")) as client:
        answer = await client.post("/sample", params={"version": 1})
    assert (answer.status_code, answer.json()["version"]) == (200, 1)
