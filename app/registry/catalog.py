"""The catalog: which models there are, which of them serve, and why the others do not."""

from __future__ import annotations

from collections.abc import Sequence

from app.errors import (
    InvalidFieldError,
    ModelUnavailableError,
    UnknownModelError,
    UnknownVersionError,
)
from app.inference.engine import Engine
from app.registry.versions import Model, why_not_serving


class Catalog:
    """Finds the engine that a request names. Reads only; `Registry` changes it.

    Args:
        places: where bundles are looked for, for messages.
        default: the model for requests that name none; empty takes the only one there is.
        required: models that must serve before `problems` is empty; empty takes the default
            model, or those that were there at the start when there is no default.
    """

    def __init__(self, places: Sequence[str], *, default: str, required: Sequence[str]) -> None:
        self._places = tuple(places)
        self._default = default
        self._required = tuple(required)
        self._at_start: tuple[str, ...] | None = None
        self._remarks: tuple[str, ...] = ()
        self.models: dict[str, Model] = {}

    @property
    def default_name(self) -> str | None:
        """The model for requests that name none, or None when there is no such model."""
        if self._default:
            return self._default
        return next(iter(self.models)) if len(self.models) == 1 else None

    def engine(self, name: str | None, version: int | None = None) -> Engine:
        """The engine of the named model, or of the default model.

        Without a version it is the highest one that serves.

        Raises:
            InvalidFieldError: no name was given and there is no default.
            UnknownModelError: there is no model of that name.
            UnknownVersionError: the model has no such version.
            ModelUnavailableError: it is loading or unloaded, or can't serve.
        """
        wanted = name or self.default_name
        model = self.models.get(wanted or "")
        if model is None:
            raise self._absent(wanted)
        if version is not None:
            return self._engine_of(model, version)
        engine = model.engine
        if engine is None:
            detail = f"the model {wanted!r} can't serve: {model.why_not_serving}"
            raise ModelUnavailableError(detail, field="model", retry_after=5)
        return engine

    def problems(self) -> list[str]:
        """Why the server is not ready, a sentence for each reason; empty when it is."""
        if self._at_start is None:
            return ["the models are still loading"]
        if not self.models:
            places = ", ".join(self._places)
            nothing = f"there is no bundle, <name>/<version>/manifest.json, in {places}"
            return [nothing, *self._remarks]
        return [sentence for name in self._required_names() if (sentence := self._problem(name))]

    def warnings(self) -> list[str]:
        """Why versions do not serve, of every model, a sentence for each; ready or not."""
        reasons = [
            f"{model.name}/{version.number}: {version.reason}"
            for model in self.models.values()
            for version in model.versions
            if version.reason
        ]
        return [*self._remarks, *reasons]

    def _engine_of(self, model: Model, number: int) -> Engine:
        version = model.version(number)
        if version is None:
            there = ", ".join(str(known.number) for known in model.versions)
            detail = f"the model {model.name!r} has no version {number}; there is {there}"
            raise UnknownVersionError(detail, field="version")
        if version.engine is None:
            detail = f"version {number} of {model.name!r} can't serve: {why_not_serving(version)}"
            raise ModelUnavailableError(detail, field="version", retry_after=5)
        return version.engine

    def _required_names(self) -> tuple[str, ...]:
        default = self.default_name
        if self._required or default:
            return self._required or (default or "",)
        # One that comes later is not waited for: a bad copy must not take readiness away.
        return tuple(name for name in self._at_start or () if name in self.models) or tuple(
            self.models
        )

    def _problem(self, name: str) -> str:
        model = self.models.get(name)
        if model is None:
            return f"the model {name!r} is required and not there; found: {self._names()}"
        return "" if model.engine else f"{name}: {model.why_not_serving}"

    def _absent(
        self, wanted: str | None
    ) -> InvalidFieldError | UnknownModelError | ModelUnavailableError:
        if self._at_start is None:
            return ModelUnavailableError("the models are still loading", retry_after=1)
        if not self.models:
            return ModelUnavailableError(self.problems()[0], field="model", retry_after=5)
        if wanted is None:
            detail = f"name one of the models with ?model=: {self._names()}"
            return InvalidFieldError(detail, field="model")
        detail = f"there is no model {wanted!r}; there is {self._names()}"
        return UnknownModelError(detail, field="model")

    def _names(self) -> str:
        return ", ".join(sorted(self.models))
