"""What is sent is what the service takes."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import orjson
import pytest

from benchmarks.load import workloads
from benchmarks.servers.ours import running, vaeserve
from model.pixels import Images
from tests import arithmetic_bundle


@pytest.fixture
def image() -> Images:
    return np.full((4, 4, 1), 200, dtype=np.uint8)


def test_every_workload_is_answered_in_its_format(tmp_path: Path, image: Images) -> None:
    """One image comes as PNG, several as an array, a posterior as JSON, with the same image
    from a raw body and from a form."""
    with running(vaeserve(arithmetic_bundle.write(tmp_path))) as server:
        raw = server.ask(workloads.reconstruct(image))
        form = server.ask(workloads.reconstruct_multipart(image))
        several = np.load(io.BytesIO(server.ask(workloads.sample(1, n=5))))
        posterior = orjson.loads(server.ask(workloads.encode(image)))
    assert np.array_equal(workloads.from_png(raw, 1), image)
    assert form == raw
    assert several.shape == (5, 4, 4, 1)
    assert np.allclose(posterior["mean"], [[200 / 255, 200 / 255]])
