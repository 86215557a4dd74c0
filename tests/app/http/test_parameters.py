"""Options from the query or from JSON members, and errors that name them."""

from __future__ import annotations

import contextlib
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request

from app.errors import InvalidFieldError, MalformedRequestError, ServiceError
from app.http.parameters import from_members, from_query, target_of


class Knobs(BaseModel):
    """One option of each kind."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    n: int = Field(1, ge=1, lt=100)
    heat: float = Field(1.0, gt=0, le=10, allow_inf_nan=False)
    way: Literal["up", "down"] | None = None
    loud: bool = False


class Needy(BaseModel):
    """An option without a default."""

    n: int


def request(query: str = "") -> Request:
    return Request({"type": "http", "query_string": query.encode(), "headers": []})


def take(query: str = "", members: dict[str, Any] | None = None) -> Knobs:
    if members is None:
        return from_query(request(query), Knobs)
    return from_members(request(query), Knobs, members)


def refusal(query: str = "", members: dict[str, Any] | None = None) -> InvalidFieldError:
    with pytest.raises(InvalidFieldError) as caught:
        take(query, members)
    return caught.value


def test_defaults() -> None:
    """Nothing given means every default, from either source."""
    assert from_query(request(), Knobs) == from_members(request(), Knobs, {}) == Knobs()


def test_query_parameters_are_parsed_from_text() -> None:
    """Numbers, booleans and words in the query are taken for what they say."""
    options = from_query(request("n=7&heat=0.5&way=up&loud=true&model=mnist"), Knobs)

    assert options == Knobs(n=7, heat=0.5, way="up", loud=True)


def test_members_are_taken_as_they_are() -> None:
    """A JSON member has the option's type; a whole number is also a floating-point one."""
    options = from_members(request("model=mnist"), Knobs, {"n": 7, "heat": 2, "loud": True})

    assert options == Knobs(n=7, heat=2.0, loud=True)


@pytest.mark.parametrize(
    ("query", "field", "bound", "detail"),
    [
        ("n=0", "n", 1, "n must be at least 1, got 0"),
        ("n=100", "n", 100, "n must be less than 100, got 100"),
        ("heat=0", "heat", 0, "heat must be greater than 0, got 0"),
        ("heat=11", "heat", 10, "heat must be at most 10.0, got 11"),
        ("heat=nan", "heat", None, 'heat must be a finite number, got "nan"'),
        ("heat=warm", "heat", None, 'heat must be a number, got "warm"'),
        ("n=1.5", "n", None, 'n must be an integer, got "1.5"'),
        ("n=1_0", "n", None, 'n must be an integer, got "1_0"'),
        ("n=7.0", "n", None, 'n must be an integer, got "7.0"'),
        ("n=%207", "n", None, 'n must be an integer, got " 7"'),
        ("n=%D9%A7", "n", None, 'n must be an integer, got "٧"'),
        ("heat=1_0", "heat", None, 'heat must be a number, got "1_0"'),
        ("heat=%201", "heat", None, 'heat must be a number, got " 1"'),
        ("n=", "n", None, 'n must be an integer, got ""'),
        ("way=left", "way", None, "way must be one of 'up' or 'down', got \"left\""),
        ("loud=perhaps", "loud", None, 'loud must be true or false, got "perhaps"'),
        ("n=1&n=2", "n", None, "query parameter n was sent more than once; send it once"),
        (
            "size=3",
            "size",
            None,
            "unknown query parameter size; send only n, heat, way, loud, model, version",
        ),
    ],
)
def test_bad_query_parameters(query: str, field: str, bound: float | None, detail: str) -> None:
    """The error names the parameter and its bound, in one sentence."""
    error = refusal(query)

    assert (error.field, error.limit, error.detail) == (field, bound, detail)


@pytest.mark.parametrize(
    ("members", "field", "bound", "detail"),
    [
        ({"n": 0}, "n", 1, "n must be at least 1, got 0"),
        ({"n": "3"}, "n", None, 'n must be an integer, got "3"'),
        ({"n": 2.5}, "n", None, "n must be an integer, got 2.5"),
        ({"n": True}, "n", None, "n must be an integer, got true"),
        ({"n": None}, "n", None, "n must be an integer, got null"),
        ({"n": [1]}, "n", None, "n must be an integer, got [1]"),
        ({"heat": "1"}, "heat", None, 'heat must be a number, got "1"'),
        ({"way": "left"}, "way", None, "way must be one of 'up' or 'down', got \"left\""),
        ({"loud": 1}, "loud", None, "loud must be true or false, got 1"),
        ({"size": 3}, "size", None, "unknown member size; send only n, heat, way, loud"),
        ({"model": "x"}, "model", None, "unknown member model; send only n, heat, way, loud"),
    ],
)
def test_bad_members(members: dict[str, Any], field: str, bound: float | None, detail: str) -> None:
    """The error names the member and its bound, in one sentence; text is no number."""
    error = refusal(members=members)

    assert (error.field, error.limit, error.detail) == (field, bound, detail)


def test_options_in_both_places() -> None:
    """Options beside a JSON body are refused, even when the body has none; the model is not."""
    with pytest.raises(MalformedRequestError, match="n cannot be sent with a JSON body"):
        from_members(request("n=2"), Knobs, {})
    assert from_members(request("model=a"), Knobs, {}) == Knobs()


def test_the_target_is_no_option() -> None:
    """Model and version stand in the query beside options and beside a body alike."""
    beside = request("model=a&version=12")
    assert target_of(beside) == ("a", 12)
    assert target_of(request()) == (None, None)
    assert from_members(beside, Knobs, {"n": 2}).n == 2
    assert from_query(request("version=12&n=2"), Knobs).n == 2


@pytest.mark.parametrize("version", ["0", "-1", "01", "1.0", "x", "", "%D9%A1", "1" * 19])
def test_a_version_is_a_positive_integer(version: str) -> None:
    """What is written otherwise is refused, and so is one that is given twice."""
    with pytest.raises(InvalidFieldError, match="version must be a positive integer"):
        target_of(request(f"version={version}"))
    with pytest.raises(InvalidFieldError, match="version was sent 2 times; send it once"):
        target_of(request("version=1&version=1"))


def test_the_other_member() -> None:
    """The member that carries the data is no option, and is listed as known."""
    assert from_members(request(), Knobs, {"images": [1], "n": 2}, other="images").n == 2
    with pytest.raises(InvalidFieldError, match="send only images, n"):
        from_members(request(), Knobs, {"image": 1}, other="images")


def test_missing_options() -> None:
    """An option without a default that was not given is named."""
    with pytest.raises(InvalidFieldError, match="n is missing"):
        from_query(request(), Needy)


@pytest.mark.parametrize("members", [{"n": "x" * 10_000}, {"x" * 10_000: 1}, {"n": 10**400}])
def test_long_values_are_cut_short(members: dict[str, Any]) -> None:
    """An error repeats only the start of what was sent."""
    assert len(refusal(members=members).detail) < 150


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from(["n", "heat", "way", "loud", "", "é"]), JSON_VALUES))
def test_any_members(members: dict[str, Any]) -> None:
    """Whatever JSON holds, options come out or the service's error."""
    with contextlib.suppress(ServiceError):
        assert isinstance(take(members=members), Knobs)


@given(st.text(max_size=40))
def test_any_query(query: str) -> None:
    """Whatever the query holds, options come out or the service's error."""
    with contextlib.suppress(ServiceError):
        assert isinstance(take(query), Knobs)
