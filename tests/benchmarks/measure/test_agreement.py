"""Responses are compared with what the bundle gives."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.load import workloads
from benchmarks.measure import agreement
from benchmarks.servers.ours import (
    Server,
    ServerError,
    naive_default,
    naive_tuned,
    running,
    vaeserve,
)
from model.pixels import Images
from tests import arithmetic_bundle
from tests.benchmarks.answering import answering_nothing


@pytest.fixture
def image() -> Images:
    return np.random.default_rng(0).integers(0, 256, (6, 5, 3), dtype=np.uint8)


def test_images_survive_png(image: Images) -> None:
    """An image sent as PNG comes back from its bytes as it was."""
    assert np.array_equal(workloads.from_png(workloads.to_png(image), 3), image)
    grey = image[:, :, :1]
    assert np.array_equal(workloads.from_png(workloads.to_png(grey), 1), grey)


def test_servers_agree_with_their_bundle_and_not_with_another(tmp_path: Path) -> None:
    """This service and the naive ones agree with their bundle, and not with another."""
    bundle = arithmetic_bundle.write(tmp_path)
    other = arithmetic_bundle.write_bernoulli(tmp_path)
    image = np.full((4, 4, 1), 200, dtype=np.uint8)
    with (
        running(vaeserve(bundle)) as ours,
        running(naive_default(bundle)) as plain,
        running(naive_tuned(bundle)) as tuned,
    ):
        for server in (ours, plain, tuned):
            agreement.check(server, bundle, image)
        with pytest.raises(agreement.AgreementError, match="naive /reconstruct differs by"):
            agreement.check(plain, other, image)


def test_workloads_that_a_server_lacks_are_left_out(tmp_path: Path) -> None:
    """A system without any verb agrees, and a request to it is an error."""
    bundle = arithmetic_bundle.write(tmp_path)
    image = np.full((4, 4, 1), 200, dtype=np.uint8)
    with running(replace(naive_default(bundle), adapt=lambda workload: None)) as server:
        agreement.check(server, bundle, image)
        with pytest.raises(ServerError, match="naive has no /reconstruct"):
            server.ask(workloads.reconstruct(image))


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("/reconstruct", b"no image"),
        ("/encode", b"no JSON"),
        ("/encode", b'{"latents":[]}'),
        ("/encode", b'{"mean":"none","logvar":"none"}'),
        ("/sample", b"no array"),
        ("/sample", b""),
    ],
)
def test_an_answer_of_another_kind_is_a_disagreement(
    tmp_path: Path, path: str, content: bytes
) -> None:
    """An unreadable body with status 200 is a failure of the system."""
    bundle = arithmetic_bundle.write(tmp_path)
    image = np.full((4, 4, 1), 200, dtype=np.uint8)
    system = replace(
        naive_default(bundle),
        adapt=lambda workload: workload if workload.path == path else None,
        answer=lambda workload, answered: content,
    )
    with answering_nothing() as port:
        server = Server(system, 0, port, 0.0)
        with pytest.raises(agreement.AgreementError, match="naive sent a response that can"):
            agreement.check(server, bundle, image)


def test_a_wrong_posterior_shows(tmp_path: Path) -> None:
    """Means and log-variances are compared, not only images."""
    bundle = arithmetic_bundle.write(tmp_path)
    image = np.full((4, 4, 1), 200, dtype=np.uint8)
    wrong = replace(
        naive_default(bundle),
        adapt=lambda workload: workload if workload.verb == "encode" else None,
        answer=lambda workload, content: b'{"mean":[[0.0,0.0]],"logvar":[[0.0,0.0]]}',
    )
    with (
        running(wrong) as server,
        pytest.raises(agreement.AgreementError, match=r"/encode mean differs by 0\.78"),
    ):
        agreement.check(server, bundle, image)
