"""Arrays in NumPy's format, from writers that are not to be trusted."""

from __future__ import annotations

import io
import tracemalloc
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from app.codecs.npy import dump, load
from app.errors import InvalidFieldError, MalformedRequestError, ServiceError

DTYPES = [
    order + name
    for name in ("f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8")
    for order in "<>"
]


def written(array: NDArray[Any], version: tuple[int, int] = (1, 0)) -> bytes:
    """The array as NumPy writes it."""
    file = io.BytesIO()
    np.lib.format.write_array(file, array, version=version, allow_pickle=True)
    return file.getvalue()


def handmade(header: str, data: bytes = b"", version: bytes = b"\x01\x00") -> bytes:
    """A file with that header's text."""
    size = 2 if version == b"\x01\x00" else 4
    text = header.encode("latin-1")
    return b"\x93NUMPY" + version + len(text).to_bytes(size, "little") + text + data


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.filterwarnings("ignore:Stored array in format:UserWarning")  # NumPy's, on writing 2.0
def test_reads_what_numpy_writes(dtype: str, order: str) -> None:
    """Every plain type, byte order and memory order gives NumPy's own values as float32."""
    array = np.asarray(np.arange(24).reshape(2, 3, 4), dtype=dtype, order=order)  # type: ignore[call-overload]
    for version in ((1, 0), (2, 0), (3, 0)):
        loaded = load(written(array, version))
        np.testing.assert_array_equal(loaded, np.arange(24, dtype=np.float32).reshape(2, 3, 4))
        assert loaded.dtype == np.float32
        assert loaded.flags.c_contiguous
        assert loaded.flags.writeable


@given(arrays.arrays(np.float32, arrays.array_shapes(min_dims=0, max_dims=4, min_side=0)))
def test_a_round_trip_changes_no_bit(array: NDArray[np.float32]) -> None:
    """float32 of any shape, infinities and NaN included, comes back bit by bit."""
    loaded = load(dump(array))

    assert loaded.shape == array.shape
    assert loaded.tobytes() == np.ascontiguousarray(array).tobytes()


@pytest.mark.parametrize(
    "array", [np.zeros((2, 3, 4, 1), np.uint8), np.arange(6, dtype=np.float32).reshape(2, 3).T]
)
def test_numpy_reads_what_is_written(array: NDArray[Any]) -> None:
    """`numpy.load` reads a dumped array back, type and shape included."""
    loaded = np.load(io.BytesIO(dump(array)))

    np.testing.assert_array_equal(loaded, array)
    assert loaded.dtype == array.dtype


def test_large_values_become_infinite() -> None:
    """float64 beyond float32 becomes infinite without a warning; the caller refuses it."""
    assert np.isinf(load(written(np.array([1e300]))))[0]


@pytest.mark.parametrize(
    "header",
    [
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }",
        "{'shape': (2,), 'descr': '<f4', 'fortran_order': False}   \n",
        '{"descr": "<f4", "fortran_order": False, "shape": (2,)}',
        "{'descr':'<f4','fortran_order':False,'shape':(2,)}",
        "{'descr': '<f4', 'fortran_order': True, 'shape': ( 2 , )}",
    ],
)
def test_headers_of_other_writers(header: str) -> None:
    """Members in any order, either quotes and any spacing are the same header."""
    data = np.array([1, 2], "<f4").tobytes()

    assert load(handmade(header, data)).tolist() == [1, 2]


@pytest.mark.parametrize(
    "array",
    [
        np.array([{}], dtype=object),
        np.array([(1, 2.0)], dtype=[("a", "<i4"), ("b", "<f4")]),
        np.array([1j]),
        np.array(["text"]),
        np.array([True]),
        np.array(["2020-01-01"], dtype="datetime64[D]"),
    ],
)
def test_other_types_are_refused(array: NDArray[Any]) -> None:
    """Objects, records, complex numbers, text, booleans and dates are no latents."""
    with pytest.raises((InvalidFieldError, MalformedRequestError), match="floats or integers"):
        load(written(array))


@pytest.mark.parametrize(
    "header",
    [
        "",
        "{}",
        "[]",
        "{'descr': '<f4', 'fortran_order': False}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2)}x",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (-2,)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1 2,)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (,)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2.0,)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': [2]}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (" + "1," * 17 + ")}",
        "{'descr': '<f4', 'fortran_order': 1, 'shape': (2,)}",
        "{'descr': '<f4', 'descr': '<f4', 'shape': (2,)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), 'more': 1}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2,)" + "(" * 500,
        "{'descr': __import__('os'), 'fortran_order': False, 'shape': (2,)}",
    ],
)
def test_broken_headers_are_refused(header: str) -> None:
    """A header that is no plain array's is an error, and is never evaluated."""
    with pytest.raises(MalformedRequestError, match="header"):
        load(handmade(header, bytes(8)))


@pytest.mark.parametrize(
    "descr", ["<f3", "f16", "<f16", "<<f4", "|O", "", "<f4,<f4", "V8", "<M8[s]"]
)
def test_unknown_types_are_refused(descr: str) -> None:
    """A type that is no float or integer of up to 8 bytes is an error that names one."""
    header = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': (2,)}}"
    with pytest.raises(InvalidFieldError, match="float32"):
        load(handmade(header, bytes(8)), field="latents")


def test_a_type_that_is_not_text_is_refused() -> None:
    """A header whose type is another literal is an error, not NumPy's default type."""
    with pytest.raises(InvalidFieldError, match="unknown type"):
        load(handmade("{'descr': False, 'fortran_order': False, 'shape': (2,)}", bytes(8)))


@pytest.mark.parametrize("data", [b"", b"\x93NUMPY", b"\x93NUMPY\x04\x00\x00\x00", b"PK\x03\x04"])
def test_other_files_are_refused(data: bytes) -> None:
    """Nothing, a future version and a zip archive are no such file."""
    with pytest.raises(MalformedRequestError, match=r"\.npy"):
        load(data)


@pytest.mark.parametrize("change", [-9, -1, 1, 4])
def test_the_bytes_must_match_the_header(change: int) -> None:
    """Missing and trailing bytes are both errors."""
    whole = written(np.zeros((2, 3), np.float32))
    data = whole[:change] if change < 0 else whole + bytes(change)
    with pytest.raises(MalformedRequestError, match=f"24 bytes.*{24 + change} follow"):
        load(data)


def test_a_lying_header_allocates_nothing() -> None:
    """Sizes that a header only claims are never allocated."""
    shape = "(1000000000, 1000000000, 1000000000)"
    data = handmade(f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}}}")
    long = b"\x93NUMPY\x02\x00\xff\xff\xff\xff" + bytes(100)
    tracemalloc.start()
    try:
        for lie in (data, long):
            with pytest.raises(MalformedRequestError):
                load(lie)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert peak < 100_000


def test_a_shape_with_a_zero_is_empty() -> None:
    """An axis of length 0 needs no data, whatever the others claim."""
    header = "{'descr': '<f4', 'fortran_order': False, 'shape': (0, 99)}"

    assert load(handmade(header)).shape == (0, 99)
    with pytest.raises(MalformedRequestError, match="shape"):
        load(handmade(header.replace("99", "9" * 30)))


@given(st.data())
def test_damaged_files(data: st.DataObject) -> None:
    """A file changed and cut anywhere is read or refused; nothing else comes out."""
    content = bytearray(written(np.arange(12, dtype=">i2").reshape(3, 4)))
    for _ in range(data.draw(st.integers(1, 6))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    try:
        loaded = load(bytes(content[: data.draw(st.integers(100, len(content)))]))
    except ServiceError:
        return
    assert loaded.nbytes <= 8 * len(content)


@given(st.text(alphabet=st.sampled_from("{}()[]'\"descrfoanhp_: ,01<>f4True"), max_size=120))
def test_any_header_text(header: str) -> None:
    """Whatever stands in the header, only the service's errors come out."""
    try:
        load(handmade(header, bytes(8)))
    except ServiceError:
        return
