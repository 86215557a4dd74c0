"""An upper limit: a FastAPI route without any work.

It parses the body of `/sample`, `{"n": 1}`, with pydantic and responds with 400 fixed bytes, about
the size of a small PNG. It runs on uvicorn with uvloop and httptools, without an access log. Each
process has its own listening socket, as in the service.
"""

from __future__ import annotations

import argparse
import multiprocessing
import socket
import sys

import uvicorn
from fastapi import FastAPI, Response
from pydantic import BaseModel, Field

from benchmarks.load.workloads import Workload
from benchmarks.servers.ours import System

NAME = "bare FastAPI"
CONTENT = bytes(400)


class SampleRequest(BaseModel):
    """The one option that the workload sends."""

    n: int = Field(1, ge=1)


def create_app() -> FastAPI:
    """The application."""
    app = FastAPI()

    @app.get("/readyz")
    async def ready() -> dict[str, str]:
        return {"status": "ready"}

    @app.post("/sample")
    async def sample(options: SampleRequest) -> Response:
        return Response(CONTENT, media_type="image/png")

    return app


def floor(processes: int = 1) -> System:
    """The route in a number of processes, which should be the service's."""
    settings = f"POST with a pydantic body → 400 fixed bytes, processes: {processes}"
    command = [
        sys.executable,
        "-m",
        "benchmarks.servers.fastapi_floor",
        "--workers",
        f"{processes}",
    ]
    return System(NAME, settings, command, adapt=_adapt)


def _adapt(workload: Workload) -> Workload | None:
    return workload if workload.verb == "sample" and workload.n == 1 else None


def main() -> None:
    """Serves the route."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.servers.fastapi_floor", description=__doc__
    )
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--workers", type=int, default=1)
    options = parser.parse_args()
    others = [
        multiprocessing.Process(target=serve, args=(options.port,), daemon=True)
        for _ in range(options.workers - 1)
    ]
    for other in others:
        other.start()
    serve(options.port)


def serve(port: int) -> None:
    """Serves on this process's own socket until a signal stops it."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    listener.bind(("127.0.0.1", port))
    config = uvicorn.Config(create_app(), access_log=False, log_level="warning")
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()
