"""How many processes serve when nobody says."""

from __future__ import annotations

import shutil
import sys
import tempfile

from app.settings import Settings
from model.cores import available_cores
from model.runtime import offers_cuda

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
    if settings.provider == "cuda" or (settings.provider == "auto" and offers_cuda()):
        return 1
    return min(available_cores(), MOST_WORKERS) if _has_temporary_space() else 1


def _has_temporary_space() -> bool:
    try:
        return shutil.disk_usage(tempfile.gettempdir()).free >= _FIGURES_BYTES
    except OSError:  # there is no folder that could be written to
        return False
