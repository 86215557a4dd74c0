"""Bodies of inference requests: read as the protocol has them, or refused in its words."""

from __future__ import annotations

from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import (
    BodyTooLargeError,
    InvalidFieldError,
    MalformedRequestError,
    NotImplementedByServiceError,
    ServiceError,
)
from app.protocols.oip.model_names import Signature, Tensor
from app.protocols.oip.requests import (
    HEADER_LENGTH,
    InferRequest,
    header_length,
    parse,
)
from tests.app.protocols.oip.test_tensors import ANYTHING
from tests.app.protocols.oip.wire import (
    IMAGE,
    ROW_BYTES,
    SIGNATURE,
    as_binary,
    as_json,
    entry,
    rows,
)

LIMITS = (8, 4096)
"""The most rows, and the most bytes of JSON."""
BOTH = {"mean": False, "logvar": False}


def read(content: bytes, length: int | None = None) -> InferRequest:
    return parse(content, length, SIGNATURE, *LIMITS)


def test_the_same_rows_in_every_form() -> None:
    """JSON alone, JSON with bytes behind it, and bytes alone give the same rows."""
    assert (read(as_json(rows(3))).rows == rows(3)).all()
    assert (read(*as_binary(rows(3))).rows == rows(3)).all()
    raw = read(rows().tobytes(), 0)
    assert (raw.rows == rows()).all()
    assert raw.outputs == {"mean": True, "logvar": True}
    content = as_json(rows())
    assert (read(content, len(content)).rows == rows()).all()


def test_id_and_timeout() -> None:
    """The id is kept as it is, and microseconds become seconds; 0 and nothing are no timeout."""
    asked = read(as_json(rows(), id="ä", parameters={"timeout": 2_500_000, "priority": 1}))
    assert (asked.id, asked.timeout) == ("ä", 2.5)
    for parameters in ({}, {"timeout": 0}, {"timeout": None}, None):
        asked = read(as_json(rows(), parameters=parameters))
        assert (asked.id, asked.timeout, asked.outputs) == (None, None, BOTH)


@pytest.mark.parametrize(
    ("outputs", "parameters", "wanted"),
    [
        (None, {"binary_data_output": True}, [("mean", True), ("logvar", True)]),
        ([], {}, [("mean", False), ("logvar", False)]),
        ([{"name": "logvar"}], {"binary_data_output": True}, [("logvar", True)]),
        (
            [
                {"name": "logvar", "parameters": {"binary_data": False}},
                {"name": "mean", "parameters": {"classification": 0}},
            ],
            {"binary_data_output": True},
            [("logvar", False), ("mean", True)],
        ),
        ([{"name": "mean", "parameters": {"binary_data": True}}], {}, [("mean", True)]),
    ],
)
def test_outputs_are_those_asked_for(
    outputs: Any, parameters: dict[str, Any], wanted: list[tuple[str, bool]]
) -> None:
    """In the order asked for; each says for itself whether it is bytes, or the request does."""
    asked = read(as_json(rows(), outputs=outputs, parameters=parameters))
    assert list(asked.outputs.items()) == wanted


def changed(**changes: Any) -> dict[str, Any]:
    """A request whose entry of `inputs` is changed."""
    return {"inputs": [entry(rows(), **changes)]}


SHARED = {"shared_memory_region": "a", "shared_memory_byte_size": 24}
WRONG: dict[str, tuple[dict[str, Any], type[ServiceError], str]] = {
    "no inputs": ({"inputs": None}, InvalidFieldError, "inputs must be a list"),
    "empty inputs": ({"inputs": []}, InvalidFieldError, "a list of at least 1"),
    "inputs as object": ({"inputs": {}}, InvalidFieldError, "inputs must be a list"),
    "input no object": ({"inputs": [7]}, InvalidFieldError, "inputs.0 must be an object"),
    "input without name": (changed(name=None), InvalidFieldError, "name is missing"),
    "unknown input": (changed(name="picture"), InvalidFieldError, "input 'picture' does not exist"),
    "input twice": ({"inputs": [entry(rows())] * 2}, InvalidFieldError, "a list of at most 1"),
    "datatype": (changed(datatype="FP64"), InvalidFieldError, "datatype must be one of 'FP32'"),
    "no shape": (changed(shape=None), InvalidFieldError, "shape is missing"),
    "nine rows": (changed(shape=[9, 1, 2, 3]), InvalidFieldError, r"1 … 8"),
    "no data": (changed(data=None), InvalidFieldError, "neither data nor"),
    "data twice": (changed(parameters={"binary_data_size": 24}), InvalidFieldError, "both data"),
    "parameters": (changed(parameters=[]), InvalidFieldError, "must be an object"),
    "memory": (changed(parameters=SHARED, data=None), NotImplementedByServiceError, "memory"),
    "id": ({"id": 7}, InvalidFieldError, "id must be a string"),
    "request parameters": ({"parameters": 7}, InvalidFieldError, "must be an object"),
    "flag": ({"parameters": {"binary_data_output": 1}}, InvalidFieldError, "true or false"),
    "timeout": ({"parameters": {"timeout": 1.5}}, InvalidFieldError, "be an integer"),
    "negative timeout": (
        {"parameters": {"timeout": -1}},
        InvalidFieldError,
        "be at least 0",
    ),
    "true timeout": (
        {"parameters": {"timeout": True}},
        InvalidFieldError,
        "be an integer",
    ),
    "sequence": (
        {"parameters": {"sequence_id": 3}},
        NotImplementedByServiceError,
        "no sequences",
    ),
    "outputs": ({"outputs": {}}, InvalidFieldError, "outputs must be a list"),
    "output no object": ({"outputs": ["mean"]}, InvalidFieldError, "outputs.0 must be an object"),
    "unknown output": ({"outputs": [{"name": "x"}]}, InvalidFieldError, "does not exist"),
    "output twice": ({"outputs": [{"name": "mean"}] * 2}, InvalidFieldError, "requested twice"),
    "many outputs": ({"outputs": [{"name": "mean"}] * 3}, InvalidFieldError, "requested twice"),
    "classification": (
        {"outputs": [{"name": "mean", "parameters": {"classification": 2}}]},
        NotImplementedByServiceError,
        "no classes",
    ),
    "output memory": (
        {"outputs": [{"name": "mean", "parameters": SHARED}]},
        NotImplementedByServiceError,
        "memory",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_member_is_refused_in_words(name: str) -> None:
    """Each member that is missing, unknown, doubled or of the wrong type has its own sentence."""
    changes, error, words = WRONG[name]
    with pytest.raises(error, match=words):
        read(as_json(rows(), **changes))


@pytest.mark.parametrize("value", ["FP16", "FP64", "BYTES", "BF16", "fp32", None, 32, ["FP32"]])
def test_only_fp32_is_taken(value: Any) -> None:
    """Another datatype is refused, and the error names the one that is right."""
    with pytest.raises(InvalidFieldError, match=r"FP32|datatype is missing"):
        read(as_json(rows(), **changed(datatype=value)))


@pytest.mark.parametrize("value", ["1123", [1.0, 1, 2, 3], [True, 1, 2, 3], ["1", 1, 2, 3]])
def test_a_shape_has_integers(value: Any) -> None:
    """Other numbers and other types are refused."""
    with pytest.raises(InvalidFieldError, match="shape"):
        read(as_json(rows(), **changed(shape=value)))


def binary(size: object, tail: bytes) -> tuple[bytes, int]:
    """A request that says its tensor has `size` bytes, and the bytes that follow."""
    head = orjson.dumps(changed(data=None, parameters={"binary_data_size": size}))
    return head + tail, len(head)


@pytest.mark.parametrize("size", [0, 20, 28, -24, 24.0, True, "24", 2**63, 2**64 - 1])
def test_binary_sizes_must_add_up(size: object) -> None:
    """A size that is not that of the bytes is refused, whatever it is."""
    with pytest.raises(MalformedRequestError, match="24 bytes follow"):
        read(*binary(size, bytes(ROW_BYTES)))


@pytest.mark.parametrize("tail", [0, 23, 25, 48])
def test_binary_data_must_be_the_tensor(tail: int) -> None:
    """Too few bytes and trailing ones are refused, even where the stated size agrees."""
    for size in (ROW_BYTES, tail):
        with pytest.raises(ServiceError, match=r"bytes follow|has \d+ bytes"):
            read(*binary(size, bytes(tail)))


def test_bytes_that_nobody_announced_are_refused() -> None:
    """Bytes behind a JSON whose tensor is JSON belong to nothing."""
    content = as_json(rows())
    with pytest.raises(MalformedRequestError, match="8 bytes follow"):
        read(content + bytes(8), len(content))


def test_the_header_is_no_longer_than_the_body() -> None:
    """A header that announces more JSON than there is body is refused."""
    content = as_json(rows())
    with pytest.raises(MalformedRequestError, match="the body has"):
        read(content, len(content) + 1)


NO_OBJECTS = (
    *(b"", b" ", b"{", b"[]", b"null", b"{}{}", b'{"id": NaN}', b'{"id": "\xff"}'),
    *(b"\xff\xfe{}", "{}".encode("utf-16"), b"[" * 2000, b'{"a":' * 600),
)


@pytest.mark.parametrize("content", NO_OBJECTS)
def test_what_is_no_json_object_is_malformed(content: bytes) -> None:
    """Other JSON, other encodings and what never ends are refused."""
    with pytest.raises((MalformedRequestError, InvalidFieldError)):
        read(content)


def test_json_has_a_limit_of_its_own() -> None:
    """Long JSON is refused before it is parsed; the bytes behind it may be longer than that."""
    with pytest.raises(BodyTooLargeError, match="send tensors as binary"):
        read(b" " * 5000)
    wide = Signature(Tensor("image", (1, 40, 40)), SIGNATURE.outputs)
    content, length = as_binary(np.ones((1, 1, 40, 40), np.float32))
    assert len(content) > LIMITS[1]
    assert parse(content, length, wide, *LIMITS).rows.shape == (1, 1, 40, 40)


def test_many_empty_lists_are_refused_before_they_are_built() -> None:
    """A list costs thirty times its JSON, so more of them than any tensor has are not parsed."""
    content = b'{"inputs":[' + b"[]," * 100_000 + b"[]]}"
    with pytest.raises(InvalidFieldError, match="lists"):
        parse(content, None, SIGNATURE, 8, 10**6)


@pytest.mark.parametrize(
    ("shape", "size", "rest"),
    [((1, 2, 3), 24, None), ((-1,), 20, (5,)), ((2, -1), 24, (2, 3))],
)
def test_a_raw_body_is_one_row(
    shape: tuple[int, ...], size: int, rest: tuple[int, ...] | None
) -> None:
    """Without JSON the body is one row; an axis of any length takes what there is."""
    signature = Signature(Tensor("x", shape), SIGNATURE.outputs)
    assert parse(bytes(size), 0, signature, *LIMITS).rows.shape == (1, *(rest or shape))
    for wrong in (0, size - 1, size + 1):
        with pytest.raises(InvalidFieldError, match="one row of 'x'"):
            parse(bytes(wrong), 0, signature, *LIMITS)


def test_a_raw_body_says_nothing_of_two_open_axes() -> None:
    """With two axes of any length the bytes could be many shapes."""
    signature = Signature(Tensor("image", (1, -1, -1)), SIGNATURE.outputs)
    with pytest.raises(InvalidFieldError, match="2 variable axes"):
        parse(bytes(64), 0, signature, *LIMITS)


@pytest.mark.parametrize("value", ["-1", "+5", "1.0", "x", "", "0x10", "1_0", "٣", "9" * 13])
def test_the_header_is_a_number(value: str) -> None:
    """Whatever is no number of bytes is refused."""
    with pytest.raises(MalformedRequestError, match="must be a number of bytes"):
        header_length(scope(value))


def test_the_header_comes_once() -> None:
    """Two lengths could be read differently by two servers; one, none and 0 are taken."""
    with pytest.raises(MalformedRequestError, match="2 times"):
        header_length(scope("5", "5"))
    assert [header_length(one) for one in (scope(), scope("0"), scope(" 12 "))] == [None, 0, 12]


def scope(*values: str) -> dict[str, Any]:
    name = HEADER_LENGTH.lower().encode()
    return {"headers": [(name, value.encode("utf-8")) for value in values]}


MEMBERS = st.fixed_dictionaries(
    {},
    optional={
        "name": st.sampled_from(["image", "mean", "x"]) | ANYTHING,
        "shape": st.just([1, 1, 2, 3]) | st.lists(st.integers(-2, 2**64), max_size=5) | ANYTHING,
        "datatype": st.sampled_from(["FP32", "FP16", "BYTES"]) | ANYTHING,
        "data": st.just([1, 2, 3, 4, 5, 6]) | ANYTHING,
        "parameters": st.fixed_dictionaries(
            {},
            optional={
                "binary_data_size": st.sampled_from([0, 23, 24, 25, -1, 2**63]) | ANYTHING,
                "binary_data": st.booleans() | ANYTHING,
                "classification": ANYTHING,
                "shared_memory_region": ANYTHING,
            },
        )
        | ANYTHING,
    },
)
REQUESTS = st.fixed_dictionaries(
    {},
    optional={
        "id": st.text(max_size=4) | ANYTHING,
        "parameters": st.dictionaries(
            st.sampled_from(["binary_data_output", "timeout", "sequence_id", "x"]), ANYTHING
        )
        | ANYTHING,
        "inputs": st.lists(MEMBERS, min_size=1, max_size=2) | ANYTHING,
        "outputs": st.lists(MEMBERS, max_size=3) | ANYTHING,
    },
)


def _dumps(document: Any) -> bytes:
    try:
        return orjson.dumps(document)
    except (TypeError, orjson.JSONEncodeError):  # a lone surrogate
        return b"{}"


@given(REQUESTS.map(_dumps), st.binary(max_size=26) | st.just(bytes(24)), st.integers(-3, 3))
def test_any_request_is_read_or_refused(head: bytes, tail: bytes, shift: int) -> None:
    """Whatever JSON and bytes come, and however long the JSON is said to be, the answer is rows of
    the tensor or an error of the service."""
    for length in (None, max(0, len(head) + shift), len(head)):
        check(head + tail if length is not None else head, length)


@given(st.binary(max_size=64), st.none() | st.integers(0, 80))
def test_any_bytes_are_read_or_refused(content: bytes, length: int | None) -> None:
    """The same for bytes that were never meant to be a request."""
    check(content, length)


def check(content: bytes, length: int | None) -> None:
    try:
        asked = read(content, length)
    except ServiceError as error:
        assert 10 < len(error.detail) < 600  # noqa: PT017
    else:
        assert asked.rows.dtype == np.float32
        assert asked.rows.shape[1:] == IMAGE.shape
        assert 1 <= len(asked.rows) <= LIMITS[0]
        assert np.isfinite(asked.rows).all()
        assert set(asked.outputs) <= {"mean", "logvar"}
