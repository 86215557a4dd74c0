"""What bundles keep besides graphs, over HTTP: posterior means and cards, or a clear 404."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest

from tests import arithmetic_bundle
from tests.app.loops import in_loop
from tests.app.serving import client_of, loaded, running, serving
from vaeserve import AsyncClient

MEANS = np.array([[0.5, -1.0], [0.25, 3.0], [0.0, 0.125]], np.float32)
LABELS = np.array([1, -1, 0])
CARD = "# arithmetic\n\nΣ for people.\n"


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """A repository whose model has both in version 2, and neither in version 1."""
    arithmetic_bundle.write(tmp_path)
    arithmetic_bundle.write(tmp_path, version=2, posterior=(MEANS, LABELS), page=CARD)
    return tmp_path


@in_loop
async def test_latents_come_with_their_classes(kept: Path) -> None:
    """JSON has the means, a label for each and what the labels mean; `.npy` the means alone."""
    async with serving(kept) as client:
        answer = await client.get("/models/arithmetic/latents")
        raw = await client.get(
            "/models/arithmetic/latents", headers={"Accept": "application/x-npy"}
        )
    assert answer.json() == {
        "model": "arithmetic",
        "version": 2,
        "split": "test",
        "n": 3,
        "classes": ["zero", "one"],
        "labels": [1, -1, 0],
        "latents": MEANS.tolist(),
    }
    assert answer.headers["X-VAE-Model"] == "arithmetic/2"
    array = np.load(io.BytesIO(raw.content))
    assert array.dtype == np.float32
    assert array.tolist() == MEANS.tolist()


@in_loop
async def test_latents_are_scaled_as_all_that_are_served(tmp_path: Path) -> None:
    """(z − shift) · scaling, so that they can be sent to `/decode`."""
    latent = arithmetic_bundle.manifest().latent.model_copy(update={"scaling": 2.0, "shift": 0.5})
    arithmetic_bundle.write(tmp_path, likelihood=None, latent=latent, posterior=(MEANS, LABELS))
    async with serving(tmp_path) as client:
        answer = await client.get("/models/arithmetic/latents")
    assert answer.json()["latents"] == ((MEANS - 0.5) * 2).tolist()


@in_loop
async def test_the_card_is_markdown(kept: Path) -> None:
    """As it was written, in UTF-8; as plain text for who wants no Markdown."""
    async with serving(kept) as client:
        answer = await client.get("/models/arithmetic/card")
        plain = await client.get("/models/arithmetic/card", headers={"Accept": "text/plain"})
    assert answer.headers["Content-Type"] == "text/markdown; charset=utf-8"
    assert answer.content.decode() == CARD
    assert plain.headers["Content-Type"] == "text/plain; charset=utf-8"


@pytest.mark.parametrize("what", ["latents", "card"])
@in_loop
async def test_who_has_it_is_not_sent_it_again(kept: Path, what: str) -> None:
    """The entity tag of one answer makes the next a 304; another format's tag does not."""
    path = f"/models/arithmetic/{what}"
    async with serving(kept) as client:
        first = await client.get(path)
        tag = first.headers["ETag"]
        same = await client.get(path, headers={"If-None-Match": f'"other", W/{tag}'})
        other = await client.get(path, headers={"If-None-Match": '"other"'})
    assert (same.status_code, same.content, same.headers["ETag"]) == (304, b"", tag)
    assert (other.status_code, other.content) == (200, first.content)
    assert first.headers["Cache-Control"] == "no-cache"


@in_loop
async def test_formats_have_tags_of_their_own(kept: Path) -> None:
    """A cache does not take the array for the JSON answer."""
    async with serving(kept) as client:
        tags = {
            (await client.get("/models/arithmetic/latents", headers={"Accept": kind})).headers[
                "ETag"
            ]
            for kind in ("application/json", "application/x-npy")
        }
    assert len(tags) == 2


@in_loop
async def test_a_description_says_what_there_is(kept: Path) -> None:
    """`stored` lists what the version that serves has; an older version may be asked for."""
    async with serving(kept) as client:
        described = (await client.get("/models/arithmetic")).json()
        latents = await client.get("/models/arithmetic/latents?version=1")
        card = await client.get("/models/arithmetic/card?version=1")
    assert described["stored"] == ["latents", "card"]
    assert described["manifest"]["posterior"]["classes"] == ["zero", "one"]
    for answer, words in ((latents, "stores no posterior means"), (card, "has no card")):
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
        assert f"arithmetic/1 {words}" in answer.json()["detail"]


@pytest.mark.parametrize("what", ["latents", "card"])
@in_loop
async def test_what_can_not_be_answered_is_a_problem(kept: Path, what: str) -> None:
    """Unknown models and versions, a version that is none, and formats that there are not."""
    async with serving(kept) as client:
        answers = {
            code: await client.get(path, headers={"Accept": accept})
            for code, path, accept in (
                ("unknown_model", f"/models/none/{what}", "*/*"),
                ("unknown_version", f"/models/arithmetic/{what}?version=9", "*/*"),
                ("invalid_field", f"/models/arithmetic/{what}?version=x", "*/*"),
                ("not_acceptable", f"/models/arithmetic/{what}", "image/png"),
            )
        }
    assert {code: answer.json()["code"] for code, answer in answers.items()} == {
        code: code for code in answers
    }


@in_loop
async def test_the_client_has_both(kept: Path) -> None:
    """As arrays and text; a version is named as for every verb."""
    async with running(kept) as app:
        await loaded(app)
        service = AsyncClient(transport=client_of(app)._transport)
        found = await service.stored_latents("arithmetic")
        again = await service.stored_latents("arithmetic/2")
        card = await service.card("arithmetic/2")
        described = await service.describe("arithmetic")
    assert found.latents.tolist() == MEANS.tolist()
    assert found.labels.tolist() == again.labels.tolist() == [1, -1, 0]
    assert (found.classes, found.split, found.version) == (("zero", "one"), "test", 2)
    assert card == CARD
    assert described["stored"] == ["latents", "card"]
