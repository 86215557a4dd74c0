"""What a verb is: one value from which its route, OpenAPI, /models and the documents derive."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic

from starlette.requests import Request

from app.api.schemas import Answer
from app.codecs.formats import Kind
from app.http.body import Body
from app.http.parameters import OptionsT
from app.inference.admission import Permit
from app.inference.engine import Engine
from app.inference.service import Service
from app.settings import Settings
from model.bundle.manifest import Manifest
from model.images.fitting import Fitted
from model.pixels import Floats, Images

Document = dict[str, Any]
"""A part of the OpenAPI document."""
Members = dict[str, object]
"""Members of a JSON answer."""


@dataclass(frozen=True, slots=True)
class Sent:
    """What a body holds beside the options, with its images still encoded."""

    images: Sequence[bytes] = ()
    latents: Floats | None = None
    """float32 [n, *latent_shape]"""
    seeds: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Call(Generic[OptionsT]):
    """One request of a verb, ready to run; its images are fitted to the model."""

    service: Service
    engine: Engine
    permit: Permit
    options: OptionsT
    images: Images | None
    """uint8 [n, h, w, c]"""
    fitted: Sequence[Fitted]
    """The same images, with what was done to fit each."""
    latents: Floats | None
    seeds: tuple[int, int] | None
    streamed: bool
    """Whether the answer's images are sent window by window."""


@dataclass(frozen=True, slots=True)
class Result:
    """What a verb answers, before it is encoded."""

    members: Members
    """Of every JSON answer, and of the JSON document in a zip file."""
    images: Images | None = None
    """uint8 [n, h, w, c]; JSON has them as base64 in `images`."""
    windows: AsyncGenerator[Images, None] | None = None
    """Takes the place of `images` in a streamed answer."""
    n: int = 0
    """How many images the windows have."""
    latents: Floats | None = None
    """What a `.npy` answer of kind `latents` holds."""
    seed: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    binary_headers: Callable[[], Mapping[str, str]] = dict
    """Makes the headers of answers that are not JSON: these values have no other place there."""
    milliseconds: int = 100
    bounce: bool = False


@dataclass(frozen=True)
class Takes(Generic[OptionsT]):
    """What a verb's body may hold beside its options.

    Args:
        parse: returns the options and the rest of a body; raises ServiceError if one is invalid.
        content: describes the body in OpenAPI, by media type.
        images: whether the body may hold images.
        required: whether there must be a body.
    """

    parse: Callable[[Request, Body, type[OptionsT], Manifest, Settings], tuple[OptionsT, Sent]]
    content: Callable[[type[OptionsT]], Document]
    images: bool = True
    required: bool = True


@dataclass(frozen=True)
class Verb(Generic[OptionsT]):
    """A verb of the API.

    Args:
        name: its path without the slash.
        summary: a line for OpenAPI.
        about: a line for the plain page at `/`.
        description: a paragraph for OpenAPI.
        options: the options' model.
        takes: what its body may hold beside the options.
        kind: what its answer holds, which determines the formats.
        answer: the JSON answer's model.
        run: computes the result of a call.
        example: a JSON request that works, and its JSON answer without model and version; both
            for a model with this latent shape.
        needs_likelihood: whether it needs a model that states a likelihood.
        may_need_likelihood: whether one of its options does.
    """

    name: str
    summary: str
    about: str
    description: str
    options: type[OptionsT]
    takes: Takes[OptionsT]
    kind: Kind
    answer: type[Answer]
    run: Callable[[Call[OptionsT]], Awaitable[Result]]
    example: Callable[[tuple[int, ...]], tuple[Document, Document]]
    needs_likelihood: bool = False
    may_need_likelihood: bool = False

    @property
    def path(self) -> str:
        return f"/{self.name}"

    def serves(self, manifest: Manifest) -> bool:
        """Whether a model with this manifest answers the verb."""
        return not self.needs_likelihood or manifest.likelihood is not None
