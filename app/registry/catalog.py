"""The catalog: which models exist, which of them serve, and why the others do not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from app.errors import (
    InvalidFieldError,
    ModelUnavailableError,
    UnknownModelError,
    UnknownVersionError,
)
from app.inference.engine import Engine
from app.registry.repository import Repository
from app.registry.versions import Version, why_not_serving


@dataclass(slots=True, eq=False)
class Model:
    """A name and its versions, highest first."""

    name: str
    versions: list[Version] = field(default_factory=list)

    @property
    def engine(self) -> Engine | None:
        """The engine that serves: that of the highest version that has one."""
        for version in self.versions:
            if version.engine is not None:
                return version.engine
        return None

    def version(self, number: int) -> Version | None:
        """The version of this number, or None."""
        return next((version for version in self.versions if version.number == number), None)

    def add(self, version: Version) -> None:
        """Adds a version."""
        self.versions.append(version)
        self.versions.sort(key=lambda version: version.number, reverse=True)


class Catalog:
    """Finds the engine that a request names. `Registry` adds and removes the models.

    Args:
        repository: holds the bundles, for messages.
        default: the model for requests that name none; empty takes the only model.
        required: models that must serve before `problems` is empty; empty takes the default
            model, or without a default those that were found at the start.
    """

    def __init__(self, repository: Repository, *, default: str, required: Sequence[str]) -> None:
        self._repository = repository
        self._default = default
        self._required = tuple(required)
        self._at_start: tuple[str, ...] | None = None
        """The models that were found at the start; until it is set, models count as loading."""
        self.models: dict[str, Model] = {}
        """All models by name, in alphabetical order."""

    def add(self, name: str) -> Model:
        """The model of this name, which is added without versions if it is new."""
        model = self.models.get(name)
        if model is None:
            model = Model(name)
            self.models = dict(sorted([*self.models.items(), (name, model)]))
        return model

    def found_at_start(self) -> None:
        """Marks the present models as those of the start; until then models count as loading."""
        self._at_start = tuple(self.models)

    @property
    def default_name(self) -> str | None:
        """The model for requests that name none, or None without a default."""
        if self._default:
            return self._default
        return next(iter(self.models)) if len(self.models) == 1 else None

    def engine(self, name: str | None, version: int | None = None) -> Engine:
        """The engine of the named model, or of the default model.

        The default version is the highest one that serves.

        Raises:
            InvalidFieldError: no name was given, and no model is the default.
            UnknownModelError: no model has this name.
            UnknownVersionError: the model has no version of this number.
            ModelUnavailableError: the model is loading, unloaded or can't serve.
        """
        wanted = name or self.default_name
        model = self.models.get(wanted or "")
        if model is None:
            raise self._absent(wanted)
        versions, what, field = model.versions, f"the model {wanted!r}", "model"
        if version is not None:
            versions = [one for one in versions if one.number == version]
            what, field = f"version {version} of {wanted!r}", "version"
        if not versions:
            there = ", ".join(str(known.number) for known in model.versions)
            detail = f"the model {wanted!r} has no version {version}; it has {there}"
            raise UnknownVersionError(detail, field="version")
        for one in versions:
            if one.engine is not None:
                return one.engine
        detail = f"{what} can't serve: {why_not_serving(*versions)}"
        raise ModelUnavailableError(detail, field=field, retry_after=5)

    def problems(self) -> list[str]:
        """Why the service is not ready, one sentence a reason; empty when it is ready."""
        if self._at_start is None:
            return ["the models are still loading"]
        if not self.models:
            places = ", ".join(self._repository.places)
            nothing = f"no bundle, <name>/<version>/manifest.json, was found in {places}"
            return [nothing, *self._repository.remarks]
        return [sentence for name in self.required_names() if (sentence := self._problem(name))]

    def warnings(self) -> list[str]:
        """Why versions of any model do not serve, one sentence a version."""
        reasons = [
            f"{model.name}/{version.number}: {version.reason}"
            for model in self.models.values()
            for version in model.versions
            if version.reason
        ]
        return [*self._repository.remarks, *reasons]

    def required_names(self) -> tuple[str, ...]:
        """The models that must serve for the service to be ready."""
        default = self.default_name
        if self._required or default:
            return self._required or (default or "",)
        # A model that is added later does not count: a bad copy must not end readiness.
        return tuple(name for name in self._at_start or () if name in self.models) or tuple(
            self.models
        )

    def _problem(self, name: str) -> str:
        model = self.models.get(name)
        if model is None:
            return f"the model {name!r} is required but was not found; found: {self._names()}"
        return "" if model.engine else f"{name}: {why_not_serving(*model.versions)}"

    def not_found(self, name: str) -> UnknownModelError:
        """The error for a model that no root has."""
        places = "; ".join((", ".join(self._repository.places), *self._repository.remarks))
        return UnknownModelError(f"no model {name!r} was found in {places}", field="model")

    def _absent(
        self, wanted: str | None
    ) -> InvalidFieldError | UnknownModelError | ModelUnavailableError:
        if self._at_start is None:
            return ModelUnavailableError("the models are still loading", retry_after=1)
        if not self.models:
            return ModelUnavailableError(self.problems()[0], field="model", retry_after=5)
        if wanted is None:
            detail = f"several models serve; select one with ?model=: {self._names()}"
            return InvalidFieldError(detail, field="model")
        detail = f"there is no model {wanted!r}; the models are: {self._names()}"
        return UnknownModelError(detail, field="model")

    def _names(self) -> str:
        return ", ".join(sorted(self.models))
