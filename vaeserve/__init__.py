"""The client of a vaeserve service: numpy arrays in and out, over HTTP.

It needs httpx, numpy and Pillow, and imports nothing of the service, so that it works in a project
that has an `app` package of its own. Begin reading at `client.py`.
"""

from vaeserve.client import AsyncClient, Client
from vaeserve.errors import (
    ClientError,
    DeadlineError,
    ProblemError,
    ResponseError,
    UnreachableError,
)
from vaeserve.images import Images
from vaeserve.results import File

__all__ = [
    "AsyncClient",
    "Client",
    "ClientError",
    "DeadlineError",
    "File",
    "Images",
    "ProblemError",
    "ResponseError",
    "UnreachableError",
]
