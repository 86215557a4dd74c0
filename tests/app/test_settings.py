"""Settings: from the environment, checked, and never changed."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from app.settings import Settings, environment_warnings


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


@pytest.mark.parametrize("blank", ["", "  "])
@pytest.mark.parametrize("name", sorted(Settings.model_fields))
def test_blank_is_unset(name: str, blank: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A blank variable leaves the default, so that a blank host does not listen everywhere."""
    monkeypatch.setenv(f"VAE_{name.upper()}", blank)

    assert getattr(Settings(), name) == Settings.model_fields[name].default


@pytest.mark.parametrize(
    ("name", "written", "meant"),
    [
        ("log_level", "INFO", "info"),
        ("provider", " CPU ", "cpu"),
        ("watch", "Off", "off"),
        ("repository_api", "True", True),
        ("workers", " 2 ", 2),
        ("default_model", "Faces", "Faces"),
    ],
)
def test_values_are_taken_as_people_write_them(
    name: str, written: str, meant: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Case does not matter where there are choices, nor do blanks around a value; names keep
    their case."""
    monkeypatch.setenv(f"VAE_{name.upper()}", written)

    assert getattr(Settings(), name) == meant


def test_links_to_a_service_called_vae_are_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    """What Kubernetes injects for a Service called `vae` sets no port, and the log says so."""
    address = "tcp://10.96.0.7:8000"
    for name in ("PORT", "PORT_8000_TCP"):
        monkeypatch.setenv(f"VAE_{name}", address)
    monkeypatch.setenv("VAE_PORT_8000_TCP_ADDR", "10.96.0.7")
    monkeypatch.setenv("VAE_SERVICE_HOST", "10.96.0.7")
    monkeypatch.setenv("VAE_SERVICE_PORT_HTTP", "8000")

    assert Settings().port == 8000
    (warning,) = environment_warnings()
    assert warning.startswith(f"VAE_PORT is ignored: '{address}' is the address of a Kubernetes")


def test_a_service_link_as_an_option_is_refused() -> None:
    """Only the environment holds service links; an option with an address is a mistake."""
    with pytest.raises(ValidationError, match="port"):
        Settings.model_validate({"port": "tcp://10.96.0.7:8000"})


def test_an_unknown_variable_is_named_with_the_nearest_setting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A mistyped variable sets nothing, and a warning says which setting is like it."""
    monkeypatch.setenv("VAE_WORKER", "3")
    monkeypatch.setenv("VAE_URL", "http://localhost:8000")
    monkeypatch.setenv("VAE_TIMEOUT", "5")

    assert environment_warnings() == [
        "VAE_WORKER is not a setting of the service; did you mean VAE_WORKERS?"
    ]


def test_folders_may_begin_with_the_home_folder() -> None:
    """`~` is the home folder in the repository and the cache, and never a folder of that name."""
    home = str(Path.home())
    settings = Settings(repository="~/bundles,s3://bucket/~x", cache="~/copies")

    assert settings.repository_roots == (f"{home}/bundles", "s3://bucket/~x")
    assert settings.cache_folder == f"{home}/copies"


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
