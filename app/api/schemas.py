"""Models that several routes share, as they appear in OpenAPI."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from model.noise import MAX_SEED

Seed = Annotated[
    int,
    Field(
        ge=0,
        le=MAX_SEED,
        description="The same seed gives the same response. Without it, the service draws a seed "
        "and returns it.",
    ),
]


class Options(BaseModel):
    """Base of the options: unknown names are errors, so that a typo is not silently ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Answer(BaseModel):
    """Base of the JSON answers."""

    model_config = ConfigDict(frozen=True)


class VerbAnswer(Answer):
    """Base of the answers of one version of a model."""

    model: str
    version: int


Png = Annotated[str, Field(description="A PNG file in base64.")]
Latents = Annotated[
    list[list[Any]],
    Field(description="One list for each image, nested like the model's latent shape."),
]


class Picture(Answer):
    """An uploaded image as it was, and what was done to fit it to the model, in order."""

    width: int
    height: int
    mode: str = Field(description="Pillow's name of the pixel format, such as L, RGB or RGBA.")
    steps: list[str]


class VersionAnswer(Answer):
    """One version on disk."""

    version: int
    state: Literal["loading", "ready", "unloading", "unavailable", "unloaded"]
    reason: str = Field(
        description="Why it does not serve, or why newer files on disk could not replace it."
    )


class ModelAnswer(Answer):
    """A model and the state of its versions."""

    name: str
    default: bool
    ready: bool
    serving: int | None = Field(
        description="The version that responds by default; null if none serves."
    )
    provider: str | None
    versions: list[VersionAnswer]
    verbs: list[str]
    stored: list[str] = Field(
        description="Which of `/models/{name}/latents` and `/models/{name}/card` the "
        "serving bundle has."
    )
    manifest: dict[str, object] | None = Field(
        default=None, description="The serving bundle's manifest."
    )


class StoredLatentsAnswer(VerbAnswer):
    """Posterior means of images that the model was not trained on."""

    split: str = Field(description="Which images: `validation` or `test`.")
    n: int
    classes: list[str] = Field(description="Class names; `labels` are indexes into this list.")
    labels: list[int] = Field(description="The class of each image; −1 for none.")
    latents: Latents


class ModelsAnswer(Answer):
    """All models of the repository."""

    default: str | None
    models: list[ModelAnswer]


class LiveAnswer(Answer):
    """The process turns its event loop."""

    status: Literal["live"] = "live"


class ReadyAnswer(Answer):
    """Whether every required model serves, and if not, why."""

    status: Literal["ready", "not ready"]
    problems: list[str]
    warnings: list[str] = Field(
        description="Why versions do not serve, whether the server is ready or not."
    )


class ProblemAnswer(Answer):
    """An error, as RFC 9457 has it; members that do not apply are left out."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    request_id: str | None = None
    field: str | None = Field(default=None, description="The member, parameter or header.")
    index: int | None = Field(default=None, description="The image's position, from 0.")
    bound: float | None = Field(default=None, description="The limit that was exceeded.")
