"""Which service a command asks: one that runs somewhere, or the application in this process."""

from __future__ import annotations

import argparse
import logging
import os

import httpx
from pydantic import ValidationError

from app.cli.exits import UsageError
from vaeserve import Client, Retries


def client_of(options: argparse.Namespace) -> Client:
    """A client, to be closed, of the service that the options name.

    Raises:
        UsageError: the URL, or a setting of the service in this process, is none.
    """
    if options.url:
        return _remote(options)
    # Read when numpy is imported; the lanes share the cores already.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    # Imported late: it brings the whole application, which a running service makes superfluous.
    from app.cli.connect import InProcess
    from app.settings import Settings

    logging.basicConfig(level=logging.ERROR, format="vaeserve: %(message)s")
    given = {} if options.repository is None else {"repository": options.repository}
    try:
        settings = Settings(**given)
    except ValidationError as error:
        first = error.errors()[0]
        msg = f"VAE_{str(first['loc'][0]).upper()}: {first['msg']}, got {first['input']!r}"
        raise UsageError(msg) from error
    # A step of a command is as long as its own deadline.
    settings = settings.model_copy(update={"timeout": options.timeout})
    return Client(
        model=options.model,
        deadline=options.timeout,
        # Nobody else is there to make room later.
        retries=Retries(attempts=1),
        transport=InProcess(settings),
    )


def _remote(options: argparse.Namespace) -> Client:
    if options.repository is not None:
        msg = "--repository is for work without a service; it does not go with --url or VAE_URL"
        raise UsageError(msg)
    try:
        url = httpx.URL(options.url)
    except httpx.InvalidURL as error:
        msg = f"--url {options.url!r} is not a valid URL: {error}"
        raise UsageError(msg) from error
    if url.scheme not in ("http", "https") or not url.host:
        msg = f"--url must be like http://localhost:8000, got {options.url!r}"
        raise UsageError(msg)
    return Client(options.url, model=options.model, deadline=options.timeout)
