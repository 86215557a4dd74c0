"""The machine and the software of a measurement, and what else ran meanwhile."""

from __future__ import annotations

import os
import platform
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from model.cores import available_cores
from training.system import git_commit

_PACKAGES = (
    *("vaeserve", "fastapi", "starlette", "uvicorn", "uvloop", "httptools", "onnxruntime"),
    *("numpy", "pillow", "orjson", "pydantic"),
)


@dataclass(frozen=True, slots=True)
class Machine:
    """Processor, usable cores, versions, commit, and the load before the first run."""

    processor: str
    cores: int
    python: str
    packages: dict[str, str]
    commit: str
    date: str
    load_average: float
    """Of the last minute: above zero if other processes were running."""

    @property
    def stamp(self) -> str:
        """The date as file names contain it."""
        return self.date.replace(":", "").replace("+0000", "Z")

    @property
    def versions(self) -> str:
        """The versions of Python and of the packages, in one line."""
        packages = (f"{name} {number}" for name, number in self.packages.items())
        return ", ".join((f"Python {self.python}", *packages))


def describe() -> Machine:
    """Describes this machine now."""
    return Machine(
        processor=_processor(Path("/proc/cpuinfo")),
        cores=available_cores(),
        python=platform.python_version(),
        packages={name: version(name) for name in _PACKAGES},
        commit=git_commit("app", "model", "benchmarks") or "unknown",
        date=datetime.now(UTC).isoformat(timespec="seconds"),
        load_average=os.getloadavg()[0],
    )


@dataclass(frozen=True, slots=True)
class Disturbance:
    """Other activity of the machine during a run, in percent of one core."""

    others: float
    """CPU time of processes that do not belong to the run."""
    stolen: float
    """Time that the hypervisor gave to other machines."""


class Watch:
    """Measures the disturbance from its creation on.

    Children of this process count as part of the run only after they have ended.
    """

    def __init__(self, stat: Path = Path("/proc/stat")) -> None:
        self._stat = stat
        self._before = self._now()

    def disturbance(self) -> Disturbance:
        """The disturbance since the watch was created."""
        elapsed, busy, stolen, own = (
            now - before for now, before in zip(self._now(), self._before, strict=True)
        )
        return Disturbance(
            others=max(0.0, busy - own) / elapsed * 100, stolen=stolen / elapsed * 100
        )

    def _now(self) -> tuple[float, float, float, float]:
        ticks = os.sysconf("SC_CLK_TCK")
        user, nice, system, _, _, irq, softirq, steal = (
            int(field) / ticks for field in self._stat.read_text().split(maxsplit=9)[1:9]
        )
        busy = user + nice + system + irq + softirq
        return time.monotonic(), busy, steal, sum(os.times()[:4])


def _processor(cpuinfo: Path) -> str:
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    fields = dict(line.split(":", 1) for line in lines if ":" in line)
    named = {name.strip(): value.strip() for name, value in fields.items()}
    family = [f"{key} {named[key]}" for key in ("cpu family", "model") if key in named]
    return ", ".join([named.get("model name", platform.machine()), *family])
