"""The verbs as steps: each cuts its rows into requests, and puts the answers together."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Literal, TypeVar
from urllib.parse import quote

import numpy as np

from model import noise
from model.noise import Purpose
from model.pixels import Floats
from vaeserve import parsing, pictures, results
from vaeserve.errors import AnswerError, ProblemError
from vaeserve.limits import Limits
from vaeserve.parsing import joined, parsed
from vaeserve.parts import NPY, Parts
from vaeserve.pictures import Pictures
from vaeserve.results import Binarise
from vaeserve.retries import Patience, Retries
from vaeserve.steps import Call, Reply, Steps

PartT = TypeVar("PartT", bound=results.Answer)


class Verbs:
    """What one client asks.

    Args:
        model: name of the model for calls that name none, `name/version` for one version.
        deadline: seconds that one call may take, with all its parts and repetitions.
        retries: how requests are repeated.
        clock: seconds, monotonic.
    """

    def __init__(
        self,
        *,
        model: str | None = None,
        deadline: float = 60.0,
        retries: Retries | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._model = model
        self._deadline = deadline
        self._retries = retries or Retries()
        self._clock = clock
        self._limits = Limits()
        self._parts = Parts(self._limits)

    def sample(
        self,
        n: int = 1,
        *,
        seed: int | None = None,
        temperature: float = 1.0,
        height: int | None = None,
        width: int | None = None,
        latents: bool = False,
        model: str | None = None,
    ) -> Steps[results.Samples]:
        """Draws n pictures from the prior; the service draws the seed where none is given.

        More than one request may ask for are drawn here, as the service would draw them (row i
        depends on the seed and i alone), and decoded in parts.

        Args:
            n: how many.
            seed: 0 … 2^53 − 1.
            temperature: standard deviation of the latents, 0 … 10.
            height, width: of the pictures, for a model that takes many sizes; else the model's own.
            latents: whether to return them as well.
            model: name, or name/version.
        """
        path, patience = "/sample", self._patience()
        options = _given(n=n, seed=seed, temperature=temperature, height=height, width=width)
        if n <= self._limits.rows(path):
            accept = "application/json" if latents else NPY
            call = Call(path, accept, query=self._query(model), json=options)
            parse = parsing.samples if latents else _samples_as_npy(temperature)
            try:
                return parsed((yield from patience.reply(call)), parse)
            except ProblemError as problem:
                if not self._limits.learn(problem, path, n):
                    raise
        first = Call(path, query=self._query(model), json={**options, "n": 1})
        row = parsed((yield from patience.reply(first)), parsing.samples)
        drawn = _drawn(row, n)
        images = yield from self._parts.of_latents(drawn, self._query(model), patience)
        parts = joined([images, results.Decodings(row.model, row.version, images.images[:0])])
        return results.Samples(
            row.model, row.version, parts.images, row.seed, temperature, drawn if latents else None
        )

    def encode(self, images: Pictures, *, model: str | None = None) -> Steps[results.Encodings]:
        """The posterior of each picture."""
        return (yield from self._ask("/encode", images, {}, model, parsing.encodings))

    def decode(self, latents: Floats, *, model: str | None = None) -> Steps[results.Decodings]:
        """The picture of each latent, float32 [n, *latent_shape]."""
        return (yield from self._parts.of_latents(latents, self._query(model), self._patience()))

    def reconstruct(
        self,
        images: Pictures,
        *,
        elbo_samples: int | None = None,
        binarise: Binarise | None = None,
        seed: int | None = None,
        model: str | None = None,
    ) -> Steps[results.Reconstructions]:
        """Encodes pictures and decodes the means; with `elbo_samples`, bounds on log p(x) too.

        With a seed all pictures go in one request, or not at all: what is drawn for a picture
        depends on its place in the request.
        """
        options = _given(elbo_samples=elbo_samples, binarise=binarise, seed=seed)
        parse = parsing.reconstructions
        return (yield from self._ask("/reconstruct", images, options, model, parse))

    def score(
        self,
        images: Pictures,
        *,
        samples: int | None = None,
        binarise: Binarise | None = None,
        seed: int | None = None,
        model: str | None = None,
    ) -> Steps[results.Scores]:
        """How likely the model finds each picture; with a seed, all in one request."""
        options = _given(samples=samples, binarise=binarise, seed=seed)
        return (yield from self._ask("/score", images, options, model, parsing.scores))

    def interpolate(
        self,
        ends: Pictures | None = None,
        *,
        latents: Floats | None = None,
        seeds: tuple[int, int] | None = None,
        steps: int | None = None,
        path: Literal["linear", "spherical"] | None = None,
        model: str | None = None,
    ) -> Steps[results.Interpolation]:
        """The pictures between two pictures, two latents, or the first draws of two seeds."""
        options = _given(steps=steps, path=path)
        call = self._interpolate("application/json", ends, latents, seeds, options, model)
        return parsed((yield from self._patience().reply(call)), parsing.interpolation)

    def interpolate_file(
        self,
        media_type: Literal["image/png", "image/gif", "image/webp", "application/x-npy"],
        ends: Pictures | None = None,
        *,
        latents: Floats | None = None,
        seeds: tuple[int, int] | None = None,
        steps: int | None = None,
        path: Literal["linear", "spherical"] | None = None,
        milliseconds: int | None = None,
        bounce: bool | None = None,
        model: str | None = None,
    ) -> Steps[bytes]:
        """The same as a file: a strip (`image/png`), an animation, or the array."""
        options = _given(steps=steps, path=path, milliseconds=milliseconds, bounce=bounce)
        call = self._interpolate(media_type, ends, latents, seeds, options, model)
        return (yield from self._patience().reply(call)).content

    def models(self) -> Steps[results.Models]:
        """All models and the state of their versions."""
        reply = yield from self._patience().reply(Call("/models", method="GET"))
        return parsed(reply, parsing.models)

    def describe(self, name: str) -> Steps[results.Model]:
        """One model, with the manifest of the bundle that serves."""
        call = Call(f"/models/{quote(name, safe='')}", method="GET")
        return parsed((yield from self._patience().reply(call)), parsing.model)

    def stored_latents(self, name: str) -> Steps[results.StoredLatents]:
        """The posterior means that a model's bundle keeps; `name` may be name/version."""
        call = self._stored(name, "latents", "application/json")
        return parsed((yield from self._patience().reply(call)), parsing.stored_latents)

    def card(self, name: str) -> Steps[str]:
        """A page of Markdown about a model; `name` may be name/version."""
        call = self._stored(name, "card", "text/markdown")
        return (yield from self._patience().reply(call)).content.decode()

    def _stored(self, name: str, what: str, accept: str) -> Call:
        query = self._query(name)
        path = f"/models/{quote(query.pop('model', ''), safe='')}/{what}"
        return Call(path, accept, method="GET", query=query)

    def _ask(
        self,
        path: str,
        images: Pictures,
        options: Mapping[str, object],
        model: str | None,
        parse: Callable[[Reply], PartT],
    ) -> Steps[PartT]:
        # What is drawn for a picture depends on the seed and on its place in the request.
        whole = "seed" in options
        query = self._query(model, options)
        parts = self._parts.of_pictures(path, images, query, self._patience(), parse, whole=whole)
        return (yield from parts)

    def _interpolate(
        self,
        accept: str,
        ends: Pictures | None,
        latents: Floats | None,
        seeds: tuple[int, int] | None,
        options: Mapping[str, object],
        model: str | None,
    ) -> Call:
        given = [end for end in (ends, latents, seeds) if end is not None]
        if len(given) != 1 or len(given[0]) != 2:
            msg = "two ends are needed, either two pictures, two latents or two seeds"
            raise ValueError(msg)
        path = "/interpolate"
        if ends is not None:
            pictures.check(ends)
            files = tuple(pictures.files(ends, 0))
            return Call(path, accept, query=self._query(model, options), pictures=files)
        body = _given(
            seeds=list(seeds) if seeds is not None else None,
            latents=np.asarray(latents, np.float32).tolist() if latents is not None else None,
        )
        return Call(path, accept, query=self._query(model), json={**options, **body})

    def _patience(self) -> Patience:
        return Patience(self._deadline, self._retries, self._clock)

    def _query(
        self, model: str | None, options: Mapping[str, object] | None = None
    ) -> dict[str, str]:
        """Query parameters: the model, its version if one is named, and options."""
        name, _, version = (model or self._model or "").partition("/")
        values = {"model": name, "version": version}
        texts = {name: _text(value) for name, value in (options or {}).items()}
        return {name: value for name, value in values.items() if value} | texts


def _given(**options: object) -> dict[str, object]:
    return {name: value for name, value in options.items() if value is not None}


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _samples_as_npy(temperature: float) -> Callable[[Reply], results.Samples]:
    return partial(parsing.samples_as_npy, temperature=temperature)


def _drawn(row: results.Samples, n: int) -> Floats:
    """Rows 0 … n−1 of a seed, of which the service has drawn row 0.

    Raises:
        AnswerError: its row is another one: its prior is a mixture, or it draws by another rule.
    """
    latents: Sequence[Floats] | Floats = row.latents if row.latents is not None else ()
    shape = np.shape(latents)[1:]
    normal = noise.standard_normal(row.seed, Purpose.PRIOR, 0, n, shape)
    drawn: Floats = normal * np.float32(row.temperature)
    if not np.array_equal(drawn[:1], latents):
        msg = (
            "the service draws latents by another rule than this client, which knows the prior "
            "N(0, I) alone; ask for fewer at once"
        )
        raise AnswerError(msg)
    return drawn
