"""The Accept header chooses among what is offered."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request

from app.errors import NotAcceptableError
from app.http.headers import JSON, NPY, PNG, accept_of, choose

OFFERED = (JSON, PNG, NPY)
CHROME_PAGE = (
    "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,"
    "*/*;q=0.8,application/signed-exchange;v=b3;q=0.7"
)
CHROME_IMAGE = "image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8"
FIREFOX_IMAGE = "image/avif,image/webp,image/png,image/svg+xml,image/*;q=0.8,*/*;q=0.5"
SAFARI_IMAGE = "image/webp,image/avif,image/*;q=0.8,video/*;q=0.8,*/*;q=0.5"
JAVA = "text/html, image/gif, *; q=.2, */*; q=.2"


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        (None, JSON),
        ("", JSON),
        ("  ", JSON),
        ("*/*", JSON),
        (" */* ", JSON),
        ("*/*;q=0.1", JSON),
        ("application/json", JSON),
        ("application/*", JSON),
        ("image/png", PNG),
        ("IMAGE/PNG", PNG),
        ("image/*", PNG),
        ("application/x-npy", NPY),
        ("application/json;q=0.5, image/png", PNG),
        ("application/json;q=0.5, image/png;q=0.4", JSON),
        ("image/png, application/json", JSON),
        ("application/json;q=0, */*", PNG),
        ("application/*;q=0, */*", PNG),
        ("application/*;q=0.1, application/x-npy;q=0.9, */*;q=0.5", NPY),
        ("*/*, application/json;q=0.2, image/png;q=0.3", NPY),
        ("application/json; charset=utf-8", JSON),
        ('application/json;profile="a,b;q=0", image/png;q=0.9', JSON),
        ("image/png;Q=0.3, application/x-npy ; q = 0.4", NPY),
        ("nonsense, image/png", PNG),
        ("image/png;q=high, application/x-npy;q=0.1", NPY),
        (", ,image/png,", PNG),
        (";,image/png;", PNG),
        (CHROME_PAGE, JSON),
        (CHROME_IMAGE, PNG),
        (FIREFOX_IMAGE, PNG),
        (SAFARI_IMAGE, PNG),
        (JAVA, JSON),
    ],
)
def test_chooses(accept: str | None, expected: str) -> None:
    """Quality, then specificity of the range, then the server's order decide."""
    assert choose(accept, OFFERED) == expected


@pytest.mark.parametrize(
    "accept",
    [
        "text/html",
        "video/*",
        "*/*;q=0",
        "application/json;q=0",
        "json",
        "*/json",
        "image/jpeg",
        "image/png;q=0, image/*",
    ],
)
def test_refuses_what_is_not_offered(accept: str) -> None:
    """A header that excludes everything is an error, which lists what there is."""
    with pytest.raises(NotAcceptableError, match="application/json, image/png, application/x-npy"):
        choose(accept, OFFERED)


@pytest.mark.parametrize("offered", [(JSON,), (PNG, JSON), (NPY, PNG)])
def test_the_first_offered_is_the_default(offered: tuple[str, ...]) -> None:
    """Without a preference the verb's first format is taken, whatever it is."""
    assert choose(None, offered) == choose("*/*", offered) == offered[0]


def test_long_headers_are_parsed_too() -> None:
    """A header too long to be remembered chooses as a short one does."""
    accept = ", ".join(f"text/x-{number};q=0.5" for number in range(100)) + ", image/png"

    assert choose(accept, OFFERED) == PNG


def test_several_header_lines_are_one() -> None:
    """Accept may come in several lines; they are joined, and none is None."""
    raw = [(b"accept", b"text/html"), (b"host", b"x"), (b"accept", b"image/png")]

    assert accept_of(Request({"type": "http", "headers": raw})) == "text/html, image/png"
    assert accept_of(Request({"type": "http", "headers": []})) is None


QUALITIES = st.sampled_from(["", ";q=0", ";q=0.3", ";q=0.7", ";q=1"])
RANGES = st.sampled_from([*OFFERED, "*/*", "image/*", "application/*", "text/html"])


@given(
    st.lists(st.tuples(RANGES, QUALITIES), min_size=1, max_size=6, unique_by=lambda pair: pair[0])
)
def test_agrees_with_the_standard(elements: list[tuple[str, str]]) -> None:
    """The choice is what RFC 9110 §12.5.1 says, computed the slow way."""
    qualities = {media: float(quality[3:] or 1) for media, quality in elements}

    def quality(media_type: str) -> float:
        main = media_type.split("/")[0]
        ranges = (media_type, f"{main}/*", "*/*")
        return next((qualities[media] for media in ranges if media in qualities), 0.0)

    accept = ", ".join(media + quality for media, quality in elements)
    best = max(map(quality, OFFERED))
    if best == 0:
        with pytest.raises(NotAcceptableError):
            choose(accept, OFFERED)
    else:
        assert choose(accept, OFFERED) == next(each for each in OFFERED if quality(each) == best)


@given(st.text(alphabet=st.sampled_from('*/,;= "\\q01.aimgepn\t\x00é'), max_size=60))
def test_any_header_is_answered(accept: str) -> None:
    """Whatever the header's text, one of the offered comes out, or the one error."""
    try:
        chosen = choose(accept, OFFERED)
    except NotAcceptableError:
        return
    assert chosen in OFFERED
