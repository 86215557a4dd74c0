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
from app.settings import Settings, environment_warnings
from model.cores import available_cores

logger = logging.getLogger("vaeserve")

MOST_WORKERS = 8
"""Each holds the models and some 80 MB; beyond this, a worker's lanes use the remaining cores."""

_METRICS_BYTES = 16 * 1024 * 1024
"""Several times the disk space that the metrics of eight workers need."""


def run(arguments: Sequence[str]) -> None:
    """Serves until a signal stops it.

    Args:
        arguments: the settings as command-line options, such as `--port 8001`.

    Raises:
        SystemExit: a setting is invalid, the port is taken, or a worker could not start.
    """
    try:
        settings = CliApp.run(Settings, cli_args=list(arguments))
    except ValidationError as error:
        sys.exit(_sentences(error))
    log_as_json(settings.log_level)
    for warning in environment_warnings():
        logger.warning("%s", warning)
    # Before serving nothing needs to be finished, and an import might swallow an exception.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, frame: os._exit(0))
    try:
        reserved = ports.reserve(settings.host, settings.port)
        # numpy reads it when it is imported: a process with threads can't be forked safely.
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


def worker_count(settings: Settings) -> int:
    """`VAE_WORKERS`, or one process for each core of the cgroup, at most `MOST_WORKERS`.

    Python runs on one core at a time, so a second process lets a second core parse requests and
    encode PNG and JSON. The default is one process in three cases: with a GPU, where each process
    would load the models into its memory; without disk space for the metrics of several; and on
    other kernels than Linux, which let processes share a port without spreading connections.
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
        return shutil.disk_usage(tempfile.gettempdir()).free >= _METRICS_BYTES
    except OSError:  # no temporary folder is writable
        return False


def _serve_alone(settings: Settings, sockets: list[socket.socket]) -> None:
    # prometheus_client reads it when it is imported, and would write files.
    os.environ.pop("PROMETHEUS_MULTIPROC_DIR", None)
    from app.server.uvicorn_server import serve

    url = ports.url(settings.host, sockets)
    serve(settings, sockets, listening=lambda: logger.info("vaeserve running on %s", url))


def _serve_together(settings: Settings, workers: int, reserved: list[socket.socket]) -> None:
    ports.share(reserved)
    supervisor = Supervisor(workers, ports.url(settings.host, reserved), settings.shutdown_grace)
    # prometheus_client reads it when it is imported: the folder where workers add up metrics.
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(supervisor.shared)
    # Imported before the fork, it is in memory once and a worker starts in a moment.
    from app.server.uvicorn_server import serve

    worker = supervisor.run()
    # From here on this process is a worker.
    log_as_json(settings.log_level, worker=worker.number)
    sockets = ports.join(reserved)
    for held in reserved:
        held.close()
    try:
        serve(settings, sockets, listening=lambda: worker.announce(LISTENING), worker=worker)
    finally:
        worker.remove_leftovers()


def _sentences(error: ValidationError) -> str:
    return "\n".join(
        f"VAE_{'_'.join(str(part) for part in item['loc']).upper()}: {item['msg']}, "
        f"got {item['input']!r}"
        for item in error.errors()
    )
