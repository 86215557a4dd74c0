"""A ceiling: what a FastAPI route costs that does nothing.

It takes the same body as `/sample`, `{"n": 1}`, through pydantic, and answers with 400 fixed
bytes, about a small PNG's size; uvicorn with uvloop and httptools, without an access log. Each
of its processes has a listening socket of its own, as the service's have.
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


def bare(processes: int = 1) -> System:
    """The route, in as many processes as the service that it is compared with."""
    plural = "" if processes == 1 else "es"
    return System(
        name=NAME,
        settings=f"POST with a pydantic body → 400 fixed bytes, {processes} process{plural}",
        command=lambda port: [
            *(sys.executable, "-m", "benchmarks.servers.fastapi_floor"),
            *("--port", str(port), "--workers", str(processes)),
        ],
        adapt=_adapt,
    )


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
    """Serves on a socket of this process's own, until it is told to stop."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    listener.bind(("127.0.0.1", port))
    config = uvicorn.Config(create_app(), access_log=False, log_level="warning")
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()
