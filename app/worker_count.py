"""How many processes serve when nobody says."""

from __future__ import annotations

import tempfile

from app.settings import Settings
from model.cores import available_cores
from model.runtime import offers_cuda

MOST_WORKERS = 8
"""Each holds the models and some 80 MB; beyond this, lanes use the cores that are left."""


def worker_count(settings: Settings) -> int:
    """`VAE_WORKERS`, or one process for each core that the cgroup gives, at most `MOST_WORKERS`.

    Python runs on one core at a time, so a second process is what a second core does its parsing,
    PNG and JSON with. One process serves where a GPU does the work, since each would load the
    models into its memory, and where there is no folder in which several could add up figures.
    """
    if settings.workers:
        return settings.workers
    if settings.provider == "cuda" or (settings.provider == "auto" and offers_cuda()):
        return 1
    return min(available_cores(), MOST_WORKERS) if _has_temporary_folder() else 1


def _has_temporary_folder() -> bool:
    try:
        tempfile.gettempdir()
    except FileNotFoundError:
        return False
    return True
