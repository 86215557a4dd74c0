"""Curves over epochs, of one run or several."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

Log = Sequence[Mapping[str, Any]]
"""The lines of metrics.jsonl."""

INK = "#1f4e79"
_SECOND_INK = "#c0504d"
_STYLES = ("solid", "dashed", "dotted", "dashdot")


class Panel(NamedTuple):
    """One plot over the epochs."""

    key: str
    title: str
    unit: str
    beside: str | None = None
    """A second key, drawn along: the same metric of other images."""
    settles: bool = False
    """Whether the first epochs, which fall from very high, are left out."""
    scale: str = "linear"


BOUND = Panel("elbo", "ELBO", "nats per image", "validation_elbo", settles=True)
LIKELIHOOD = Panel("log_likelihood", "log p(x|z)", "nats per image", settles=True)
KL = Panel("kl", "KL", "nats per image", settles=True)
LOSS = (BOUND, LIKELIHOOD, KL)
PANELS = (
    *LOSS,
    Panel("active_units", "active units", "latent dimensions"),
    Panel("gradient_norm", "gradient norm, mean and largest", "", "gradient_norm_max", scale="log"),
    Panel("learning_rate", "learning rate", ""),
    Panel("images_per_second", "speed", "images/s"),
)


def draw_panel(axes: Axes, panel: Panel, logs: Mapping[str, Log]) -> None:
    """Draws one metric over the epochs; several runs differ by colour, and `beside` is dashed."""
    several = len(logs) > 1
    for number, (name, log) in enumerate(logs.items()):
        # The first epochs fall from so high that they would flatten the rest.
        shown = log[min(len(log) // 10, 3) :] if panel.settles else log
        for key in (panel.key, panel.beside):
            points = [
                (line["epoch"], line[key]) for line in shown if key and line.get(key) is not None
            ]
            if points:
                style = _style(number, several=several, first=key == panel.key)
                label = name if several else _label(panel, key)
                marker = "o" if len(points) < 3 else "none"
                axes.plot(*zip(*points, strict=True), label=label, marker=marker, **style)
    if not several and panel.beside and len(axes.lines) > 1:
        axes.legend(frameon=False)
    axes.set(title=panel.title, xlabel="epoch", ylabel=panel.unit, yscale=panel.scale)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.3)


def draw_curve(panel: Panel, logs: Mapping[str, Log]) -> Figure:
    """One panel, as a separate plot."""
    figure = Figure(figsize=(5, 3), layout="constrained")
    draw_panel(figure.subplots(), panel, logs)
    return figure


def draw_stroke(number: int) -> Figure:
    """The colour and stroke of the run with that number, where several are drawn."""
    figure = Figure(figsize=(0.5, 0.15))
    style = _style(number, several=True, first=True)
    figure.add_artist(Line2D([0, 1], [0.5, 0.5], linewidth=2.5, **style))
    return figure


def draw_kl(kl_per_dimension: Sequence[float]) -> Figure:
    """The KL of each latent dimension in nats, the largest first."""
    figure = Figure(figsize=(10, 3), layout="constrained")
    axes = figure.subplots()
    axes.stairs(sorted(kl_per_dimension, reverse=True), fill=True, color=INK)
    axes.set(
        title=f"KL of each of {len(kl_per_dimension)} latent dimensions, sorted",
        xlabel="dimensions",
        ylabel="nats",
        xlim=(0, len(kl_per_dimension)),
    )
    axes.grid(alpha=0.3)
    return figure


def drawn(panels: Sequence[Panel], logs: Mapping[str, Log]) -> list[Panel]:
    """The panels that any of the runs has values for."""
    return [
        panel
        for panel in panels
        if any(line.get(panel.key) is not None for log in logs.values() for line in log)
    ]


def _style(number: int, *, several: bool, first: bool) -> dict[str, Any]:
    if not several:
        return {"color": INK if first else _SECOND_INK}
    stroke = _STYLES[number // 10 % len(_STYLES)] if first else (0, (1, 1))
    # Ten colours, then the same in other strokes.
    return {"color": colormaps["tab10"](number % 10), "linestyle": stroke}


def _label(panel: Panel, key: str | None) -> str:
    names = {"gradient_norm": "mean", "gradient_norm_max": "largest"}
    return names.get(str(key), "training" if key == panel.key else "validation")
