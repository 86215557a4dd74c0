"""The model card, a page of Markdown: what a bundle's model is, how it came to be, how good it is.

The sections are those of Mitchell et al. 2019, "Model Cards for Model Reporting", as far as a
manifest can fill them. All of it is from the manifest, so the two can't contradict each other.
"""

from __future__ import annotations

from jinja2 import Environment, PackageLoader, StrictUndefined

from model.bundle.manifest import Manifest


def write_card(manifest: Manifest) -> bytes:
    """The content of `card.md`, ending with a newline."""
    environment = Environment(  # noqa: S701 Markdown, not HTML
        loader=PackageLoader("training.bundle"),
        undefined=StrictUndefined,
        trim_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["cell"] = lambda value: str(value).replace("|", "∣")
    return environment.get_template("card.md").render(dict(manifest)).encode()
