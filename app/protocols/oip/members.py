"""Members of a request's JSON, checked to be of the type that they must have."""

from __future__ import annotations

from app.errors import InvalidFieldError
from app.protocols.oip import tensors

Members = dict[str, object]


def name_of(entry: object, where: str) -> str:
    """The name that an entry of the list `where` has.

    Raises:
        InvalidFieldError: it is no object, or has none.
    """
    name = entry.get("name") if isinstance(entry, dict) else None
    if not isinstance(name, str):
        msg = f"every entry of {where} must be an object with a name"
        raise InvalidFieldError(msg, field=where)
    return name


def object_of(members: Members, field: str, where: str) -> Members:
    """A member that is an object; empty where it is missing or null.

    Raises:
        InvalidFieldError: it is something else.
    """
    value = members.get(field)
    if value is None:
        return {}
    if not isinstance(value, dict):
        msg = f"{field} of {where} must be an object"
        raise InvalidFieldError(msg, field=field)
    return value


def flag_of(parameters: Members, name: str, *, default: bool = False) -> bool:
    """A parameter that is true or false.

    Raises:
        InvalidFieldError: it is something else.
    """
    value = parameters.get(name, default)
    if not isinstance(value, bool):
        msg = f"the parameter {name} must be true or false, got {tensors.shown(value)}"
        raise InvalidFieldError(msg, field=name)
    return value
