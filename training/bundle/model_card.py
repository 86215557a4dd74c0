"""The model card, a page of Markdown: what a bundle's model is, how it came to be, how good it is.

The sections are those of Mitchell et al. 2019, "Model Cards for Model Reporting", as far as a
manifest can fill them. All of it is from the manifest, so the two can't contradict each other.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from model.bundle.manifest import LikelihoodSpec, Manifest, Metric, PriorSpec

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
    images = manifest.data.licence or "not stated"
    sections = (
        f"# {manifest.name}, version {manifest.version}",
        manifest.card.strip(),
        _section("What it takes and gives", _table(("", ""), _shapes(manifest))),
        _section("Data", _table(("", ""), _data(manifest))),
        _section("Recipe", _table(("", ""), _recipe(manifest))),
        _section("Figures", *_figures(manifest)),
        _section("Limits", *_limits(manifest)),
        _section("Licence", f"The model: {manifest.licence}. The images: {images}."),
    )
    return ("\n\n".join(sections) + "\n").encode()


def _section(title: str, *paragraphs: str) -> str:
    return "\n\n".join((f"## {title}", *paragraphs))


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    ruler = ("---",) * len(head)
    return "\n".join(
        f"| {' | '.join(cell.replace('|', '∣') for cell in row)} |" for row in (head, ruler, *rows)
    )


def _shapes(manifest: Manifest) -> list[tuple[str, str]]:
    taken = manifest.input
    colours = "grey" if taken.channels == 1 else "colour"
    size = f"{taken.height}×{taken.width}"
    if taken.sizes:
        size = f"{taken.sizes.min} … {taken.sizes.max} pixels a side"
    latent = " × ".join(map(str, manifest.latent.shape))
    rows = [
        ("images", f"{colours}, {size}"),
        ("latent", f"{latent} values, prior {_prior(manifest.prior)}"),
    ]
    return [*rows, ("likelihood", _likelihood(manifest.likelihood))]


def _prior(prior: PriorSpec) -> str:
    if prior.components is None:
        return "N(0, I)"
    return f"a learned mixture of {prior.components} Gaussians"


def _likelihood(likelihood: LikelihoodSpec | None) -> str:
    if likelihood is None:
        return "none: it has no bounds on log p(x)"
    parts = [f"{likelihood.family}, of {likelihood.dimensions} values"]
    if likelihood.scale is not None:
        scale = likelihood.scale
        values = scale if isinstance(scale, tuple) else (scale,)
        parts.append("scale " + ", ".join(f"{value:.4g}" for value in values))
    if likelihood.binarise:
        parts.append(f"binarised: {likelihood.binarise}")
    return ", ".join(parts)


def _data(manifest: Manifest) -> list[tuple[str, str]]:
    data = manifest.data
    rows = (
        ("images", data.id),
        ("revision", data.revision),
        ("licence", data.licence),
        ("split", data.split),
        ("fingerprint", data.fingerprint),
    )
    return [(name, value) for name, value in rows if value]


def _recipe(manifest: Manifest) -> list[tuple[str, str]]:
    objective, network = manifest.objective, manifest.network
    rows = [("objective", str(objective.get("name", "?")))]
    rows += [(words, str(objective[name])) for name, words in _RECIPE if name in objective]
    tuning = objective.get("tuning")
    if isinstance(tuning, dict):
        words = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in tuning.items())
        rows += [("tuned by importance after that", words)]
    rows += [(name, str(value)) for name, value in network.items()]
    return [*rows, ("exported weights", f"{manifest.weights.kind}, step {manifest.weights.step}")]


def _figures(manifest: Manifest) -> Iterator[str]:
    if not manifest.metrics:
        yield "Nothing was measured."
        return
    head = ("figure", "value", "± standard error", "images", "K", "what")
    yield _table(head, [_figure(name, metric) for name, metric in manifest.metrics.items()])
    yield "Log-likelihoods are in nats; K is the number of importance samples of each image."
    if manifest.kl_per_dimension:
        yield _kl(manifest.kl_per_dimension)


def _figure(name: str, metric: Metric) -> tuple[str, ...]:
    error = f"{metric.standard_error:.2g}" if metric.standard_error is not None else ""
    samples = str(metric.samples or "")
    return (name, f"{metric.value:.5g}", error, str(metric.n), samples, metric.note or "")


def _kl(values: Sequence[float]) -> str:
    unused = sum(value < 0.01 for value in values)
    return (
        f"The {len(values)} latent values carry {sum(values):.4g} nats of KL, "
        f"{max(values):.3g} the most and {unused} of them less than 0.01."
    )


def _limits(manifest: Manifest) -> Iterator[str]:
    yield (
        "It knows images like those that it was trained on, and fits any other to them: what it "
        "makes of a foreign image says little about that image."
    )
    if manifest.likelihood is None:
        return
    yield (
        "A high likelihood is no proof that an image belongs: foreign data may have higher ones "
        "(Nalisnick et al. 2019). Every bound is a lower one on log p(x)."
    )
    if manifest.likelihood.likelihood.is_binary:
        yield "Its bounds are of black and white images; grey ones are made so before."
    else:
        yield "Bounds compare only with those of the same likelihood, size and scale of pixels."
