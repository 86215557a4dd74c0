"""Decoded pixels as pictures, and what happens to those that are no numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper

from app.errors import EngineFailedError, InvalidFieldError
from app.shown import compare, show
from model.bundle import DECODER, ENCODER, GOLDEN, write_bundle
from tests import arithmetic_bundle
from tests.app.loops import in_loop
from tests.app.serving import serving

UNIT = (0.0, 1.0)


def decoded(*levels: float) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """Pictures [n, 1, 2, 2] whose last pixel has the level, the others being 0."""
    rows = np.zeros((len(levels), 1, 2, 2), np.float32)
    rows[:, 0, 1, 1] = levels
    return rows


def test_numbers_are_shown() -> None:
    """Finite pixels become grey levels, also those out of the range."""
    assert show(decoded(0.2, 3e38, -5), UNIT)[:, 1, 1, 0].tolist() == [51, 255, 0]


def test_errors_are_summed() -> None:
    """The squared error is in units of [0, 1], whatever the model's range is."""
    images, error = compare(decoded(1, 0), decoded(-1, 0), (-1.0, 1.0))
    assert images[:, 1, 1, 0].tolist() == [0, 128]
    assert error.tolist() == [1.0, 0.0]


@pytest.mark.parametrize("level", [np.inf, -np.inf, np.nan])
def test_the_first_row_without_numbers_is_named(level: float) -> None:
    """Who sent the latents is told which, and anyone else that the model failed."""
    rows = decoded(0, 1, level, 0, level)
    with pytest.raises(InvalidFieldError, match=r"^latents\[2\] decodes to") as refused:
        show(rows, UNIT, "latents")
    assert (refused.value.field, refused.value.index) == ("latents", 2)
    with pytest.raises(EngineFailedError, match="picture 2"):
        show(rows, UNIT)
    with pytest.raises(EngineFailedError, match="picture 2"):
        compare(rows, rows, UNIT)


def write_squaring(root: Path) -> None:
    """A bundle whose pixels are the squares of its levels, so that large ones are infinite."""
    model = onnx.load_from_string(arithmetic_bundle.decoder())
    del model.graph.node[-1]
    model.graph.node.append(helper.make_node("Mul", ["params", "params"], ["pixels"]))
    level = np.array([0.25, 1.5], np.float32).reshape(2, 1, 1, 1)
    pixels = np.broadcast_to(level**2, (2, 1, arithmetic_bundle.SIZE, arithmetic_bundle.SIZE))
    files = {
        ENCODER: arithmetic_bundle.encoder(),
        DECODER: model.SerializeToString(),
        GOLDEN: arithmetic_bundle.golden(pixels=pixels),
    }
    write_bundle(root, arithmetic_bundle.manifest("squares"), files)


@in_loop
async def test_latents_that_overflow_are_the_callers_fault(tmp_path: Path) -> None:
    """Finite latents whose picture is not are a 422 with their row; the others are not at fault."""
    write_squaring(tmp_path)
    async with serving(tmp_path) as client:
        fine = await client.post("/decode", json={"latents": [[0.5, 0], [1, 0]]})
        refused = await client.post("/decode", json={"latents": [[0.5, 0], [3.4e38, 0]]})
    problem = refused.json()
    assert fine.status_code == 200
    assert (refused.status_code, problem["code"]) == (422, "invalid_field")
    assert (problem["field"], problem["index"]) == ("latents", 1)
