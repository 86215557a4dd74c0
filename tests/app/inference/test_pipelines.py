"""What a batch computes, row by row the same whoever shares it, and pixels that are no numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import helper

from app.errors import EngineFailedError, InvalidFieldError
from app.inference.loader import Loaded
from app.inference.pipelines import Pipelines, draws
from app.inference.prior import Prior
from app.inference.validation import check_finite
from model import noise
from model.bundle.bundle import DECODER, ENCODER, GOLDEN, Bundle, write_bundle
from model.bundle.manifest import InputSpec
from model.noise import MAX_SEED, Purpose
from model.runtime import CPU, Graph
from tests import arithmetic_bundle
from tests.app.loops import in_loop
from tests.app.serving import serving
from tests.arithmetic_bundle import LATENT, SIZE

UNIT = (0.0, 1.0)
Arrays = np.ndarray[tuple[int, ...], np.dtype[np.float32]]


def pipelines(value_range: tuple[float, float] = UNIT) -> Pipelines:
    """Those of the arithmetic bundle, with pixels in that range."""
    spec = InputSpec(channels=1, height=SIZE, width=SIZE, order="L", value_range=value_range)
    bundle = Bundle(Path(), arithmetic_bundle.manifest(input=spec))
    graphs = Graph(arithmetic_bundle.encoder()), Graph(arithmetic_bundle.decoder())
    loaded = Loaded(bundle, CPU, *graphs, 0.001, 0.001, own_lane=False)
    return Pipelines(loaded, Prior((LATENT,)))


PIPELINES = pipelines()


def levels(*values: float) -> Arrays:
    """Latents whose images have these levels."""
    latents = np.zeros((len(values), LATENT), np.float32)
    latents[:, 0] = values
    return latents


def test_numbers_are_shown() -> None:
    """Finite pixels become grey levels, also those out of the range."""
    shown, finite = PIPELINES._shown(levels(0.2, 3e38, -5).reshape(3, 1, 1, 2))
    assert shown[:, 0, 0, 0].tolist() == [51, 255, 0]
    assert finite.all()


@pytest.mark.parametrize("level", [np.inf, -np.inf, np.nan])
def test_the_first_row_without_numbers_is_named(level: float) -> None:
    """Who sent the latents is told which, and anyone else that the model failed."""
    _, finite = PIPELINES._shown(levels(0, 1, level, 0, level).reshape(5, 1, 1, 2))
    assert finite.tolist() == [True, True, False, True, False]
    with pytest.raises(InvalidFieldError, match=r"^latents\[2\] decodes to") as refused:
        check_finite(finite, "latents")
    assert (refused.value.field, refused.value.index) == ("latents", 2)
    with pytest.raises(EngineFailedError, match="image 2"):
        check_finite(finite)


def test_errors_are_in_units_of_one() -> None:
    """The squared error is in units of [0, 1], whatever the model's range is."""
    images = np.full((1, SIZE, SIZE, 1), 255, np.uint8)
    images[0, 0, 0, 0] = 0
    for value_range in ((0.0, 1.0), (-1.0, 1.0)):
        shown, finite, mean, squared_error, kl = pipelines(value_range).reconstruct(images)
        as_unit = (images.astype(float) - shown) / 255
        assert squared_error.tolist() == pytest.approx([np.square(as_unit).sum()], rel=0.02)
        assert finite.all()
        assert (mean.shape, kl.shape) == ((1, LATENT), (1,))


def test_tensors_are_what_the_graphs_answer() -> None:
    """Floats go through the graphs as they are, beyond the range of pixels too."""
    latents = np.array([[2.5, 0], [-1, 7]], np.float32)
    pixels, params = PIPELINES.decode_tensors(latents)
    assert (pixels[:, 0, 0, 0].tolist(), params[:, 0, 0, 0].tolist()) == ([1, 0], [2.5, -1])
    images = np.full((1, 1, SIZE, SIZE), 3, np.float32)
    images[0, 0, 0, 0] = -13
    again, mean, logvar = PIPELINES.reconstruct_tensors(images)
    assert (mean.tolist(), logvar.tolist()) == ([[2, -13]], [[0, 0]])
    assert (again == 1).all()


@given(
    st.lists(
        st.tuples(st.integers(0, MAX_SEED), st.integers(1, 5), st.sampled_from([0.0, 0.5, 1.0])),
        min_size=1,
        max_size=6,
    )
)
def test_draws_of_many_callers_are_those_of_each(
    calls: list[tuple[int, int, float]],
) -> None:
    """However callers are joined, every row is row i of its own seed at its own temperature."""
    rows = np.concatenate([draws(*call) for call in calls])
    images, _, latents = PIPELINES.sample(rows)
    expected = [
        noise.standard_normal(seed, Purpose.PRIOR, 0, n, (LATENT,)) * np.float32(temperature)
        for seed, n, temperature in calls
    ]
    assert latents.tobytes() == np.concatenate(expected).tobytes()
    assert len(images) == len(latents)


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
    """Finite latents whose image is not are a 422 with their row; the others are not at fault."""
    write_squaring(tmp_path)
    async with serving(tmp_path) as client:
        fine = await client.post("/decode", json={"latents": [[0.5, 0], [1, 0]]})
        refused = await client.post("/decode", json={"latents": [[0.5, 0], [3.4e38, 0]]})
    problem = refused.json()
    assert fine.status_code == 200
    assert (refused.status_code, problem["code"]) == (422, "invalid_field")
    assert (problem["field"], problem["index"]) == ("latents", 1)
