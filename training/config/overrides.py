"""Settings given one by one, as `--set key=value` does, over those of a preset."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from model.config import ModelConfig
from training.errors import ConfigError

_UNIONS = {
    name: schema["discriminator"]
    for name, schema in ModelConfig.model_json_schema()["properties"].items()
    if "discriminator" in schema
}
"""Sections of the model that are one of several kinds: their kinds, and which setting says so."""

_DEFAULTS = ModelConfig().model_dump()

_TAGS: Mapping[str, str] = {
    f"model.{name}.{union['propertyName']}": _DEFAULTS[name][union["propertyName"]]
    for name, union in _UNIONS.items()
}
"""Settings that decide which others their section has, and their defaults."""

_KINDS = {"dict", "list"}.union(*(union["mapping"] for union in _UNIONS.values()))
"""What pydantic puts into the place of an error besides keys: the kinds of a union's members, and
of JSON values."""


@dataclass(frozen=True)
class Override:
    """One setting's new value."""

    key: str
    """With dots, such as `optimiser.learning_rate`."""
    value: object
    text: str
    """As the user wrote it, for errors."""

    def concerns(self, key: str) -> bool:
        """Whether this override sets `key`, a part of it, or a section that it is in."""
        return f"{self.key}.".startswith(f"{key}.") or f"{key}.".startswith(f"{self.key}.")


def parse_override(text: str) -> Override:
    """Reads `key=value`: the value as in TOML, or as text if it is not valid TOML.

    Raises:
        ConfigError: there is no key or no equals sign.
    """
    key, separator, value = text.partition("=")
    key = key.strip()
    written = f"--set {text}"
    if not separator or not all(key.split(".")):
        msg = f"{written}: write key=value, for example --set optimiser.learning_rate=1e-3"
        raise ConfigError(msg)
    try:
        return Override(key, tomllib.loads(f"value = {value}")["value"], written)
    except tomllib.TOMLDecodeError:
        return Override(key, value.strip(), written)


def apply_overrides(document: dict[str, Any], overrides: Sequence[Override]) -> None:
    """Changes the document in the overrides' order; nothing is checked but that sections are.

    A network or likelihood that does not say which it is becomes the default one.
    Another network or likelihood starts from its own defaults, and not with what the preset had
    set for the one before; what other overrides set for it stays, whichever came first.

    Raises:
        ConfigError: a value stands where a section would have to be.
    """
    _name_the_default(document)
    chosen: set[str] = set()
    for override in overrides:
        *parents, last = override.key.split(".")
        section = document
        for parent in parents:
            section = section.setdefault(parent, {})
            if not isinstance(section, dict):
                raise ConfigError(f"{override.text}: {parent} is a value, not a section")
        if override.key in _TAGS and section.get(last, override.value) != override.value:
            prefix = ".".join(parents)
            for name in [name for name in section if f"{prefix}.{name}" not in chosen]:
                del section[name]
        section[last] = override.value
        chosen.add(override.key)
    _name_the_default(document)


def _name_the_default(document: dict[str, Any]) -> None:
    model = document.get("model")
    for key, default in _TAGS.items():
        _, name, tag = key.split(".")
        if isinstance(model, dict) and isinstance(section := model.get(name), dict):
            section.setdefault(tag, default)


def flatten(
    document: Mapping[str, Any],
    prefix: str = "",
    *,
    is_leaf: Callable[[Mapping[str, Any]], bool] = lambda _: False,
) -> dict[str, object]:
    """Nested settings by their dotted keys; a table that `is_leaf` is one value."""
    flat: dict[str, object] = {}
    for key, value in document.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping) and not is_leaf(value):
            flat |= flatten(value, f"{name}.", is_leaf=is_leaf)
        else:
            flat[name] = value
    return flat


def describe_errors(
    error: ValidationError,
    name: str,
    model: type[BaseModel],
    overrides: Sequence[Override] = (),
) -> str:
    """A line for each mistake in a `model`: `name`, which is the file's, the overrides that set it,
    its key and what is wrong."""
    lines = []
    for entry in error.errors():
        key = ".".join(str(part) for part in entry["loc"] if part not in _KINDS)
        what = entry["msg"].removeprefix("Value error, ")
        if entry["type"] == "extra_forbidden":
            what = _unknown_key(model, entry["loc"])
        guilty = [one.text for one in overrides if not key or one.concerns(key)]
        where = f"{name} with {' '.join(guilty)}" if guilty else name
        lines.append(f"{where}: {key}: {what}" if key else f"{where}: {what}")
    return "\n".join(lines)


def _unknown_key(model: type[BaseModel], location: Sequence[int | str]) -> str:
    models = [model]
    for part in location[:-1]:
        # Other parts are the tags of a union, whose models are all looked into.
        fields = [one.model_fields[str(part)] for one in models if str(part) in one.model_fields]
        models = [found for field in fields for found in _models(field.annotation)] or models
    known = sorted({name for one in models for name in one.model_fields})
    near = difflib.get_close_matches(str(location[-1]), known, n=1)
    return f"unknown key; did you mean {near[0]}?" if near else "unknown key"


def _models(annotation: object) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [found for inner in get_args(annotation) for found in _models(inner)]
