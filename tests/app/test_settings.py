"""Settings: from the environment, checked, and never changed."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from app.settings import Settings


def test_are_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each setting is `VAE_` and its name."""
    monkeypatch.setenv("VAE_PORT", "1234")
    monkeypatch.setenv("VAE_PROVIDER", "cpu")
    settings = Settings()
    assert (settings.port, settings.provider) == (1234, "cpu")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("timeout", 0),
        ("timeout", "nan"),
        ("timeout", 3601),
        ("port", 65536),
        ("lanes", -1),
        ("max_n", 0),
        ("queue_pixels", 0),
        ("provider", "gpu"),
        ("log_level", "loud"),
    ],
)
def test_values_out_of_range_are_refused(name: str, value: object) -> None:
    """A value that can't be used is an error that names the setting."""
    with pytest.raises(ValidationError, match=name):
        Settings.model_validate({name: value})


def test_lists_are_split_at_commas() -> None:
    """Blanks around names and empty entries do not count."""
    settings = Settings(repository=" /a, /b ,,", required_models="x,y")
    assert settings.repository_roots == ("/a", "/b")
    assert settings.required_names == ("x", "y")
    assert Settings().repository_roots == ()


def test_do_not_change() -> None:
    """A setting is what it was at the start."""
    with pytest.raises(ValidationError, match="frozen"):
        Settings().port = 1  # type: ignore[misc]  # this is what is tested
