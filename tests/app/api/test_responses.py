"""Answers: what a raw answer's headers say, within what HTTP can carry."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.app.api.test_verbs import NPY, PNG, png
from tests.app.loops import in_loop
from tests.app.serving import serving


@in_loop
async def test_what_was_done_to_images_travels_as_ascii_json(repository: Path) -> None:
    """Beside a raw answer the steps of each image are JSON in a header, beside JSON they are
    in the body alone."""
    files = [("images", png(1, size)) for size in (4, 9)]
    async with serving(repository) as client:
        raw = await client.post("/encode", files=files, headers={"Accept": NPY})
        told = await client.post("/encode", files=files)
    assert raw.headers["x-vae-fit"].isascii()
    assert json.loads(raw.headers["x-vae-fit"]) == [[], ["resized to 4×4"]]
    assert "x-vae-fit" not in told.headers
    assert [image["steps"] for image in told.json()["pictures"]] == [[], ["resized to 4×4"]]


@in_loop
async def test_figures_of_several_images_are_separated_by_commas(repository: Path) -> None:
    """A raw reconstruction has each image's figures in headers, in order."""
    files = [("images", png(level)) for level in (0, 51, 255)]
    async with serving(repository) as client:
        answer = await client.post("/reconstruct", files=files, headers={"Accept": PNG})
    figures = [float(value) for value in answer.headers["x-vae-kl"].split(",")]
    assert figures == pytest.approx([0, 0.04, 1])
    assert answer.headers["x-vae-squared-error"].count(",") == 2
    assert "x-vae-elbo" not in answer.headers
