"""training.wording.py: times and names as people read them."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from training.text import duration, measured, plain, printable


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.2, "0 s"),
        (40, "40 s"),
        (99.4, "99 s"),
        (100, "2 min"),
        (720, "12 min"),
        (5400, "90 min"),
        (7260, "2 h 1 min"),
        (360_000, "100 h 0 min"),
    ],
)
def test_durations(seconds: float, text: str) -> None:
    """Seconds below a hundred, then minutes, then hours and minutes."""
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (-83.7123, 0.2412, "−83.71 ± 0.24"),
        (-195.48, 6.725, "−195.5 ± 6.7"),
        (1234.5, 45.0, "1234 ± 45"),
        (0.0767, 0.00313, "0.0767 ± 0.0031"),
        (3.25, 0.0, "3.25"),
        (22, None, "22"),
        (0.123456789, None, "0.12346"),
    ],
)
def test_values_have_the_digits_that_their_error_allows(
    value: float, error: float | None, text: str
) -> None:
    """An error has two digits, and its value ends with them."""
    assert measured(value, error) == text


def test_a_name_is_printed_and_never_obeyed() -> None:
    """Control characters, marks that reorder and broken Unicode are replaced, brackets stay, and
    other scripts are as they were."""
    assert printable("a\x1b]0;b\x07\n\u202ec\udcff") == "a�]0;b��" + "�c�"
    assert printable("[/red] Pinguïn ペンギン 👩\u200d🚀") == "[/red] Pinguïn ペンギン 👩\u200d🚀"
    file = io.StringIO()
    Console(file=file).print(plain("[/red]x :smile:\n[bold]y"))
    assert file.getvalue() == "[/red]x :smile:\n[bold]y\n"
