"""`vaeserve serve`: reads the settings and starts one serving process, or several."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import Sequence

from pydantic import ValidationError
from pydantic_settings import CliApp

from app.http.logs import log_as_json
from app.server import sockets as ports
from app.server.memory import map_large_blocks
from app.server.supervisor import Supervisor
from app.server.worker import LISTENING
from app.settings import Settings
from model.cores import available_cores

logger = logging.getLogger("vaeserve")


def start(arguments: Sequence[str]) -> None:
    """Serves until told to stop. The arguments are the settings, such as `--port 8001`."""
    try:
        settings = CliApp.run(Settings, cli_args=list(arguments))
    except ValidationError as error:
        sys.exit(_sentences(error))
    log_as_json(settings.log_level)
    # Until it serves there is nothing to finish, and an import might swallow an exception.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, frame: os._exit(0))
    try:
        reserved = ports.reserve(settings.host, settings.port)
        # Read when numpy is imported: a process that has threads can't be forked safely.
        os.environ["OPENBLAS_NUM_THREADS"] = "1"
        map_large_blocks()
        workers = worker_count(settings)
        settings = settings.model_copy(update={"workers": workers})
        if workers == 1:
            _serve_alone(settings, reserved)
        else:
            _serve_together(settings, workers, reserved)
    except ports.PortError as error:
        logger.error("%s", error)
        sys.exit(1)


def _serve_alone(settings: Settings, sockets: list[socket.socket]) -> None:
    # prometheus_client reads it when it is imported, and would write files.
    os.environ.pop("PROMETHEUS_MULTIPROC_DIR", None)
    from app.server.uvicorn_server import serve

    url = ports.url(settings.host, sockets)
    serve(settings, sockets, listening=lambda: logger.info("vaeserve running on %s", url))


def _serve_together(settings: Settings, workers: int, reserved: list[socket.socket]) -> None:
    ports.share(reserved)
    supervisor = Supervisor(workers, ports.url(settings.host, reserved), settings.shutdown_grace)
    # prometheus_client reads it when it is imported: where figures are added up.
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(supervisor.shared)
    # Once for all: what is imported before the fork is in memory once, and a worker starts fast.
    from app.server.uvicorn_server import serve

    worker = supervisor.run()
    # From here on this is a worker.
    log_as_json(settings.log_level, worker=worker.number)
    sockets = ports.join(reserved)
    for held in reserved:
        held.close()
    try:
        serve(settings, sockets, listening=lambda: worker.tell(LISTENING), worker=worker)
    finally:
        worker.leave()


def _sentences(error: ValidationError) -> str:
    return "\n".join(
        f"VAE_{'_'.join(str(part) for part in item['loc']).upper()}: {item['msg']}, "
        f"got {item['input']!r}"
        for item in error.errors()
    )


MOST_WORKERS = 8
"""Each holds the models and some 80 MB; beyond this, lanes use the cores that are left."""

_FIGURES_BYTES = 16 * 1024 * 1024
"""Several times what eight workers need."""


def worker_count(settings: Settings) -> int:
    """`VAE_WORKERS`, or one process for each core that the cgroup gives, at most `MOST_WORKERS`.

    Python runs on one core at a time, so a second process is what a second core does its parsing,
    PNG and JSON with. One process serves where a GPU does the work, since each would load the
    models into its memory, where several would find no room to add up their figures, and where the
    kernel is not Linux: others let processes share a port without giving each connections.
    """
    if settings.workers:
        return settings.workers
    if sys.platform != "linux":
        return 1
    from model.runtime import offers_cuda

    if settings.provider == "cuda" or (settings.provider == "auto" and offers_cuda()):
        return 1
    return min(available_cores(), MOST_WORKERS) if _has_temporary_space() else 1


def _has_temporary_space() -> bool:
    try:
        return shutil.disk_usage(tempfile.gettempdir()).free >= _FIGURES_BYTES
    except OSError:  # there is no folder that could be written to
        return False
