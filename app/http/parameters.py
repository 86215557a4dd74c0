"""A verb's options, from query parameters or JSON members, checked by its pydantic model."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails
from starlette.requests import Request

from app.errors import InvalidFieldError, MalformedRequestError
from app.http.headers import query_of
from model.bundle.manifest import VERSION_PATTERN

OptionsT = TypeVar("OptionsT", bound=BaseModel)

MODEL_PARAMETER = "model"
"""Names the bundle, on every verb; always a query parameter and never an option."""
VERSION_PARAMETER = "version"
"""Names its version, in the same way."""

_TARGET = (MODEL_PARAMETER, VERSION_PARAMETER)

_LONGEST_SHOWN = 40
_BOUNDS = {
    "ge": "at least",
    "gt": "greater than",
    "le": "at most",
    "lt": "less than",
}
_TYPES = {
    "int_type": "an integer",
    "int_parsing": "an integer",
    "int_from_float": "an integer",
    "int_parsing_size": "an integer of fewer digits",
    "float_type": "a number",
    "float_parsing": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "string_type": "a string",
}


def target_of(request: Request) -> tuple[str | None, int | None]:
    """The model and the version that the query names, None where it does not.

    Raises:
        InvalidFieldError: one is given more than once, or the version is no positive integer.
    """
    query = query_of(request)
    if not query:
        return None, None
    name, version = (_once(query.getlist(parameter), parameter) for parameter in _TARGET)
    if version is not None and not re.fullmatch(VERSION_PATTERN, version):
        detail = f'version must be a positive integer, got "{_shown(version)}"'
        raise InvalidFieldError(detail, field=VERSION_PARAMETER)
    return name, None if version is None else int(version)


def from_query(request: Request, model: type[OptionsT]) -> OptionsT:
    """The options that stand in the query; numbers are parsed from their text.

    Raises:
        InvalidFieldError: an unknown parameter, one given twice, or a value out of its range.
    """
    values: dict[str, object] = {}
    known = (*model.model_fields, *_TARGET)
    for name, value in query_of(request).multi_items():
        if name not in known:
            raise _unknown("query parameter", name, known)
        if name in values:
            msg = f"query parameter {name} is given more than once; send it once"
            raise InvalidFieldError(msg, field=name)
        values[name] = value
    for name in _TARGET:
        values.pop(name, None)
    options = _validate(model, values, strict=False)
    for name, text in values.items():
        _check_notation(name, str(text), getattr(options, name))
    return options


def from_members(
    request: Request,
    model: type[OptionsT],
    members: Mapping[str, object],
    *,
    other: str | tuple[str, ...] = (),
) -> OptionsT:
    """The options that stand in a JSON body; types are taken as they are, so "1" is no number.

    Args:
        request: the query must name no option beside such a body.
        model: the options.
        members: the body's members.
        other: members that the body also may have, and that are no options.

    Raises:
        MalformedRequestError: there are options in the query too.
        InvalidFieldError: an unknown member, or a value of the wrong type or out of its range.
    """
    for name in query_of(request):
        if name not in _TARGET:
            msg = (
                f"query parameter {_shown(name)} stands beside a JSON body; "
                "send every option as a member of the body"
            )
            raise MalformedRequestError(msg, field=_shown(name))
    others = (other,) if isinstance(other, str) else other
    known = (*others, *model.model_fields)
    for name in members:
        if name not in known:
            raise _unknown("member", name, known)
    values = {name: value for name, value in members.items() if name not in others}
    return _validate(model, values, strict=True)


def _once(values: list[str], name: str) -> str | None:
    if len(values) > 1:
        detail = f"{name} is given {len(values)} times; send it once"
        raise InvalidFieldError(detail, field=name)
    return values[0] if values else None


def _validate(model: type[OptionsT], values: Mapping[str, object], *, strict: bool) -> OptionsT:
    try:
        return model.model_validate(values, strict=strict)
    except ValidationError as error:
        raise _invalid(error.errors(include_url=False)[0]) from None


def _check_notation(name: str, text: str, value: object) -> None:
    """Refuses what pydantic takes for a number, and nobody else does, such as 1_0 and 7.0."""
    if type(value) is int:
        expected, right = "an integer", re.fullmatch(r"[+-]?[0-9]+", text)
    elif type(value) is float:
        expected, right = "a number", re.fullmatch(r"[0-9.eE+-]+", text)
    else:
        return
    if not right:
        msg = f'{name} must be {expected}, got "{_shown(text)}"'
        raise InvalidFieldError(msg, field=name)


def _invalid(error: ErrorDetails) -> InvalidFieldError:
    field = ".".join(str(part) for part in error["loc"])
    kind, context = error["type"], error.get("ctx", {})
    limit: float | None = None
    if kind == "missing":
        return InvalidFieldError(f"{field} is missing", field=field)
    if kind in _TYPES:
        expected = _TYPES[kind]
    elif kind == "literal_error":
        expected = f"one of {context['expected']}"
    else:
        expected = error["msg"].removeprefix("Input should be ")
        for key, words in _BOUNDS.items():
            if key in context:
                limit = context[key]
                expected = f"{words} {limit}"
    given = error["input"]
    # A number in the query comes as text; quotes are for text where a number belongs.
    quote = '"' if isinstance(given, str) and limit is None else ""
    msg = f"{field} must be {expected}, got {quote}{_shown(given)}{quote}"
    return InvalidFieldError(msg, field=field, limit=limit)


def _unknown(what: str, name: str, known: tuple[str, ...]) -> InvalidFieldError:
    listed = ", ".join(known) if known else "none"
    msg = f"unknown {what} {_shown(name)}; known: {listed}"
    return InvalidFieldError(msg, field=_shown(name))


def _shown(value: object) -> str:
    """The value as text, short enough for an error message."""
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    return text if len(text) <= _LONGEST_SHOWN else text[:_LONGEST_SHOWN] + "…"
