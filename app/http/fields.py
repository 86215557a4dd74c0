"""Header fields and query of a request, read as seldom as they can be.

Starlette's own mappings parse everything for every question.
"""

from __future__ import annotations

from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.types import Scope

_NO_QUERY = QueryParams()


def lines(scope: Scope, name: bytes) -> list[str]:
    """The values of a header field, one for each line of that name; `name` in lower case."""
    return [value.decode("latin-1") for key, value in scope["headers"] if key == name]


def query_of(request: Request) -> QueryParams:
    """The query's parameters."""
    return request.query_params if request.scope["query_string"] else _NO_QUERY
