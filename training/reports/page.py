"""Renders HTML pages that stand alone: everything inline, nothing from the network.

The templates lie in `templates/`. Every text that they show is escaped.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping

from jinja2 import Environment, PackageLoader, StrictUndefined
from matplotlib import rc_context
from matplotlib.figure import Figure

from training.reports.curves import PANELS, Log, draw_curve, drawn
from training.text import duration, measured, setting


def render(template: str, **values: object) -> bytes:
    """The page of a template."""
    environment = Environment(
        loader=PackageLoader("training.reports"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
    )
    environment.filters.update(measured=measured, duration=duration, setting=setting)
    return environment.get_template(template).render(values).encode()


def data_address(content: bytes, kind: str) -> str:
    """The address of an image that is part of the page; `kind` is its media type."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def plot(figure: Figure, salt: str) -> str:
    """The data URL of a plot, black on a transparent ground, so that the page may invert it.

    The same plot and salt give the same bytes.
    """
    buffer = io.BytesIO()
    with rc_context({"svg.hashsalt": salt}):
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    return data_address(buffer.getvalue(), "image/svg+xml")


def curves(logs: Mapping[str, Log]) -> dict[str, str]:
    """The addresses of the curves of all runs, by title."""
    panels = drawn(PANELS, logs)
    return {panel.title: plot(draw_curve(panel, logs), panel.title) for panel in panels}
