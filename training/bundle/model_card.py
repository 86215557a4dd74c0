"""The model card, a page of Markdown: what a bundle's model is, how it came to be, how good it is.

The sections are those of Mitchell et al. 2019, "Model Cards for Model Reporting", as far as a
manifest can fill them. All of it is from the manifest, so the two can't contradict each other.
"""

from __future__ import annotations

from collections.abc import Iterator

from jinja2 import Environment, PackageLoader, StrictUndefined

from model.bundle.manifest import Manifest

_RECIPE = (
    ("epochs", "epochs"),
    ("steps", "steps"),
    ("batch_size", "images in a minibatch"),
    ("beta", "weight of the KL"),
    ("ema", "decay of the averaged weights"),
    ("seed", "seed"),
    ("precision", "precision"),
    ("device", "device"),
    ("threads", "threads"),
    ("seconds", "seconds of training"),
)
"""Members of `objective`, as far as it has them, and their words."""


def write_card(manifest: Manifest) -> bytes:
    """The content of `card.md`, ending with a newline."""
    environment = Environment(  # noqa: S701 Markdown, not HTML
        loader=PackageLoader("training.bundle"),
        undefined=StrictUndefined,
        trim_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["cell"] = lambda value: str(value).replace("|", "∣")
    card = environment.get_template("card.md").render(
        dict(manifest),
        scales=_scales(manifest),
        recipe=list(_recipe(manifest)),
        unused=sum(value < 0.01 for value in manifest.kl_per_dimension or ()),
    )
    return card.encode()


def _scales(manifest: Manifest) -> list[str]:
    scale = manifest.likelihood.scale if manifest.likelihood else None
    values = scale if isinstance(scale, tuple) else (scale,)
    return [f"{value:.4g}" for value in values if value is not None]


def _recipe(manifest: Manifest) -> Iterator[tuple[str, object]]:
    objective = manifest.objective
    yield "objective", objective.get("name", "?")
    yield from ((words, objective[name]) for name, words in _RECIPE if name in objective)
    if isinstance(tuning := objective.get("tuning"), dict):
        words = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in tuning.items())
        yield "tuned by importance after that", words
    yield from manifest.network.items()
