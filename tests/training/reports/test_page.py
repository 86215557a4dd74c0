"""A page stands alone, and what is written on it stays text."""

from __future__ import annotations

import base64
import re
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import UndefinedError
from matplotlib.figure import Figure

from training.reports.page import plot, render


class Reader(HTMLParser):
    """Collects tags and text."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


def read(content: str) -> Reader:
    reader = Reader()
    reader.feed(content)
    reader.close()
    return reader


def compared(text: str, address: str = "data:,") -> str:
    """A comparison of one run, with this text wherever a text may be."""
    return render(
        "comparison.html",
        names=[text],
        rows=[(text, [text])],
        best=" ★",
        notes=[text],
        strokes=[address],
        plots={text: address},
    ).decode()


@given(st.text(alphabet=st.characters(exclude_categories=["Cs", "Cc"])))
def test_text_stays_text(text: str) -> None:
    """Whatever a text holds, it adds no element, and is read back as it was."""
    shown, other = read(compared(text)), read(compared("⟨text⟩"))

    assert shown.tags == other.tags
    assert shown.text == other.text.replace("⟨text⟩", text)


def test_attributes_are_escaped() -> None:
    """A description can't end its attribute."""
    shown = compared('"><script>')

    assert "script" not in read(shown).tags
    assert 'alt="&#34;&gt;&lt;script&gt;"' in shown


def test_a_page_asks_the_network_for_nothing() -> None:
    """Images are inline, and a policy forbids the rest."""
    content = compared("a & b", plot(Figure(), "nothing"))

    assert "default-src 'none'; img-src data:" in content
    assert "<title>1 runs compared</title>" in content
    assert set(re.findall(r'(?:src|href)="(\w+:)', content)) == {"data:"}
    assert not re.search(r"url\(|@import|<script|<link", content)


def test_a_missing_value_is_an_error() -> None:
    """A template shows no gap where it has no value."""
    with pytest.raises(UndefinedError, match="names"):
        render("comparison.html")


def test_a_drawing_is_drawn_alike_again() -> None:
    """The same figure makes the same bytes, without a date."""

    def drawn() -> str:
        figure = Figure()
        figure.subplots().plot([1, 2])
        return plot(figure, "a line")

    first = drawn()
    svg = base64.b64decode(first.partition("base64,")[2]).decode()
    assert first == drawn()
    assert "<svg" in svg
    assert "dc:date" not in svg
