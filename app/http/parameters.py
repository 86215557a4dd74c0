"""Reads a verb's options from query parameters or JSON members; a pydantic model checks them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import cache
from typing import TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails
from starlette.requests import Request

from app.errors import InvalidFieldError, MalformedRequestError
from app.http.headers import query_of
from model.bundle.manifest import VERSION_PATTERN

OptionsT = TypeVar("OptionsT", bound=BaseModel)

_TARGET = ("model", "version")
"""The query parameters of every verb that name the model and its version; never options."""

_LONGEST_SHOWN = 40
_EXPECTED = {
    "greater_than_equal": "at least {ge}",
    "less_than_equal": "at most {le}",
    "literal_error": "one of {expected}",
    "int_type": "an integer",
    "int_parsing": "an integer",
    "int_from_float": "an integer",
    "int_parsing_size": "an integer of fewer digits",
    "float_type": "a number",
    "float_parsing": "a number",
    "bool_type": "true or false",
    "dict_type": "an object",
    "list_type": "a list",
    "model_type": "an object",
    "too_long": "a list of at most {max_length}",
    "too_short": "a list of at least {min_length}",
    "bool_parsing": "true or false",
    "string_type": "a string",
}
"""pydantic's error type → what the value must be, with the error's context filled in; its own
words after "Input should be" where a type is not here."""
_LIMITS = ("ge", "gt", "le", "lt")
_NOTATIONS = {int: ("an integer", r"[+-]?[0-9]+"), float: ("a number", r"[0-9.eE+-]+")}
"""How numbers are written in a query, by type."""


def target_of(request: Request) -> tuple[str | None, int | None]:
    """Returns the model and the version that the query names; None for what it leaves out.

    Raises:
        InvalidFieldError: one is given more than once, or the version is not a positive integer.
    """
    query = query_of(request)
    name, version = (once(query.getlist(parameter), parameter) for parameter in _TARGET)
    if version is not None and not re.fullmatch(VERSION_PATTERN, version):
        detail = f'version must be a positive integer, got "{_shown(version)}"'
        raise InvalidFieldError(detail, field="version")
    return name, None if version is None else int(version)


def from_query(request: Request, model: type[OptionsT]) -> OptionsT:
    """Reads the options from the query and parses numbers from their text.

    Raises:
        InvalidFieldError: a parameter is unknown, given twice, or out of range.
    """
    values: dict[str, object] = {}
    known = (*model.model_fields, *_TARGET)
    for name, value in query_of(request).multi_items():
        if name not in known:
            raise _unknown("query parameter", name, known)
        if name in values:
            msg = f"query parameter {name} was sent more than once; send it once"
            raise InvalidFieldError(msg, field=name)
        values[name] = value
    for name in _TARGET:
        values.pop(name, None)
    options = validate(model, values, strict=False)
    for name, text in values.items():
        _check_notation(name, str(text), getattr(options, name))
    return options


@cache
def defaults(model: type[OptionsT]) -> OptionsT:
    """Returns the options of a request that sends none; the model must be frozen.

    Raises:
        InvalidFieldError: an option has no default.
    """
    return validate(model, {}, strict=False)


def from_members(
    request: Request,
    model: type[OptionsT],
    members: Mapping[str, object],
    *,
    other: str | tuple[str, ...] = (),
) -> OptionsT:
    """Reads the options from the members of a JSON body, without conversion: "1" is not a number.

    Args:
        request: its query must not name an option.
        model: the pydantic model of the options.
        members: the body's members.
        other: further members that the body may have.

    Raises:
        MalformedRequestError: the query names an option too.
        InvalidFieldError: a member is unknown, of the wrong type or out of range.
    """
    for name in query_of(request):
        if name not in _TARGET:
            msg = (
                f"query parameter {_shown(name)} cannot be sent with a JSON body; "
                "send every option as a member of the body"
            )
            raise MalformedRequestError(msg, field=_shown(name))
    others = (other,) if isinstance(other, str) else other
    known = (*others, *model.model_fields)
    for name in members:
        if name not in known:
            raise _unknown("member", name, known)
    values = {name: value for name, value in members.items() if name not in others}
    return validate(model, values, strict=True)


def once(values: list[str], name: str) -> str | None:
    """Returns the value of a query parameter; None if there is none.

    Raises:
        InvalidFieldError: it is given more than once.
    """
    if len(values) > 1:
        raise InvalidFieldError(f"{name} was sent {len(values)} times; send it once", field=name)
    return values[0] if values else None


def validate(model: type[OptionsT], values: Mapping[str, object], *, strict: bool) -> OptionsT:
    """Returns the model of the values; raises InvalidFieldError for the first that is wrong."""
    try:
        return model.model_validate(values, strict=strict)
    except ValidationError as error:
        raise _invalid(error.errors(include_url=False)[0]) from None


def _check_notation(name: str, text: str, value: object) -> None:
    """Rejects notations that only pydantic accepts, such as 1_0, and 7.0 as an integer."""
    expected, notation = _NOTATIONS.get(type(value), ("", None))
    if notation and not re.fullmatch(notation, text):
        raise InvalidFieldError(f'{name} must be {expected}, got "{_shown(text)}"', field=name)


def _invalid(error: ErrorDetails) -> InvalidFieldError:
    """Translates pydantic's error; the field, the limit and the value that was sent stay."""
    field = ".".join(str(part) for part in error["loc"])
    if error["type"] == "missing":
        return InvalidFieldError(f"{field} is missing", field=field)
    context, given = error.get("ctx", {}), error["input"]
    limit = next((context[name] for name in _LIMITS if name in context), None)
    if error["type"] in _EXPECTED:
        expected = _EXPECTED[error["type"]].format(**context)
    else:
        expected = error["msg"].removeprefix("Input should be ")
    # A number in the query arrives as text; only text in place of a number is quoted.
    quote = '"' if isinstance(given, str) and limit is None else ""
    msg = f"{field} must be {expected}, got {quote}{_shown(given)}{quote}"
    return InvalidFieldError(msg, field=field, limit=limit)


def _unknown(what: str, name: str, known: tuple[str, ...]) -> InvalidFieldError:
    allowed = f"send only {', '.join(known)}" if known else "send none"
    msg = f"unknown {what} {_shown(name)}; {allowed}"
    return InvalidFieldError(msg, field=_shown(name))


def _shown(value: object) -> str:
    """Returns the value as text, shortened for an error message."""
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    return text if len(text) <= _LONGEST_SHOWN else text[:_LONGEST_SHOWN] + "…"
