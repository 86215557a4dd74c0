"""The parameters of Remote VAE, as `requests` writes them."""

from __future__ import annotations

import contextlib
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request

from app.errors import InvalidFieldError, ServiceError
from app.protocols.remote_vae.query import DecodeQuery, decode_query, encode_query
from model.bundle.scaling import Scaling

SHAPE = [("shape", "1"), ("shape", "4"), ("shape", "8"), ("shape", "6"), ("dtype", "float16")]
NAMES = (
    "shape", "dtype", "output_type", "image_format", "partial_postprocess", "scaling_factor",
    "shift_factor", "do_scaling", "height", "width", "model", "timeout",
)  # fmt: skip


def request(*parameters: tuple[str, str]) -> Request:
    query = urlencode(parameters).encode()
    return Request({"type": "http", "query_string": query, "headers": []})


def test_what_diffusers_sends() -> None:
    """Repeated keys are a shape, True is true, and what nobody knows is ignored."""
    query = decode_query(
        request(
            *SHAPE,
            ("output_type", "pt"),
            ("image_format", "png"),
            ("partial_postprocess", "True"),
            ("scaling_factor", "0.3611"),
            ("shift_factor", "0.1159"),
            ("height", "64"),
            ("width", "48"),
            ("input_tensor_type", "binary"),
        )
    )

    assert query == DecodeQuery.model_construct(
        shape=(1, 4, 8, 6),
        dtype="float16",
        scaling_factor=0.3611,
        shift_factor=0.1159,
        output_type="pt",
        image_format="png",
        partial_postprocess=True,
        height=64,
        width=48,
    )
    assert (query.scaling, query.size) == (Scaling(0.3611, 0.1159), (64, 48))


def test_what_is_not_sent() -> None:
    """A JPEG file of latents that are not scaled."""
    query = decode_query(request(*SHAPE, ("partial_postprocess", "False")))

    assert (query.output_type, query.image_format) == ("pil", "jpg")
    assert query.scaling == Scaling()
    assert not query.partial_postprocess
    assert query.size is None


@pytest.mark.parametrize(
    ("sent", "scaling"),
    [
        ([("do_scaling", "True")], None),
        ([("do_scaling", "False")], Scaling()),
        ([("do_scaling", "True"), ("scaling_factor", "2")], Scaling(2.0)),
        ([("shift_factor", "0.5")], Scaling(1.0, 0.5)),
        ([("scaling_factor", "-1e-3")], Scaling(-1e-3)),
    ],
)
def test_whose_scaling_holds(sent: list[tuple[str, str]], scaling: Scaling | None) -> None:
    """The client's factors before the model's own, which only `do_scaling` asks for."""
    assert decode_query(request(*SHAPE, *sent)).scaling == scaling


def test_encode_tells_a_image_from_a_tensor_by_the_shape() -> None:
    """Without a shape the body is a file, and the answer float32."""
    of_a_file = encode_query(request(("scaling_factor", "2"), ("dtype", "float16")))
    assert (of_a_file.shape, of_a_file.dtype) == (None, "float32")
    assert of_a_file.scaling == Scaling(2)
    of_a_tensor = encode_query(request(*SHAPE))
    assert (of_a_tensor.shape, of_a_tensor.dtype) == ((1, 4, 8, 6), "float16")
    assert of_a_tensor.scaling == Scaling()


@pytest.mark.parametrize(
    ("sent", "field"),
    [
        ([("shape", "-1")], "shape"),
        ([("shape", "0")], "shape"),
        ([("shape", "1e3")], "shape"),
        ([("shape", "99999999999")], "shape"),
        ([("shape", "1")] * 9, "shape"),
        ([("dtype", "float32")], "dtype"),
        ([("output_type", "mp4")], "output_type"),
        ([("output_type", "gif")], "output_type"),
        ([("image_format", "webp")], "image_format"),
        ([("partial_postprocess", "yes")], "partial_postprocess"),
        ([("scaling_factor", "0")], "scaling_factor"),
        ([("scaling_factor", "nan")], "scaling_factor"),
        ([("scaling_factor", "1e-40")], "scaling_factor"),
        ([("scaling_factor", "1_0")], "scaling_factor"),
        ([("scaling_factor", "1"), ("scaling_factor", "1")], "scaling_factor"),
        ([("shift_factor", "1e39")], "shift_factor"),
        ([("height", "64")], "width"),
        ([("width", "64")], "height"),
        ([("height", "x"), ("width", "64")], "height"),
    ],
)
def test_what_is_wrong_is_named(sent: list[tuple[str, str]], field: str) -> None:
    """Each parameter is checked for itself, and the error says which it was."""
    with pytest.raises(InvalidFieldError) as caught:
        decode_query(request(*SHAPE, *sent))
    assert caught.value.field == field


@pytest.mark.parametrize("missing", ["shape", "dtype"])
def test_what_is_missing_is_named(missing: str) -> None:
    """Without its shape or type a body is no tensor."""
    left = [(name, value) for name, value in SHAPE if name != missing]
    with pytest.raises(InvalidFieldError, match="missing") as caught:
        decode_query(request(*left))
    assert caught.value.field == missing


@given(st.lists(st.tuples(st.sampled_from(NAMES), st.text(max_size=20)), max_size=12))
def test_any_query_is_read_or_refused(parameters: list[tuple[str, str]]) -> None:
    """Nothing is raised that a caller is not told."""
    for parse in (decode_query, encode_query):
        with contextlib.suppress(ServiceError):
            parse(request(*parameters))
