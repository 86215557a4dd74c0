"""The parts that handlers work with: made once for each application."""

from __future__ import annotations

from app.factory import create_app
from app.settings import Settings
from tests.app.serving import context_of


def test_each_application_has_its_own_parts() -> None:
    """Two applications in one process share neither settings nor models nor figures."""
    one, two = (context_of(create_app(Settings(max_n=n))) for n in (1, 2))
    assert (one.settings.max_n, two.settings.max_n) == (1, 2)
    for part in ("registry", "service", "offload", "metrics"):
        assert getattr(one, part) is not getattr(two, part)
