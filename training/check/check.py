"""`vaetrain check`: what a run on these images would see, refuse, take and cost, before it."""

from __future__ import annotations

import contextlib
import signal
import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from rich.console import Console

from model.config import BernoulliConfig, ModelConfig
from training.check import inspection
from training.check.footprint import Footprint
from training.check.inspection import Survey
from training.config.run import TrainingConfig
from training.data.dataset import Data, load_data, require_enough
from training.data.decoded_cache import Recipe
from training.data.sources import open_source
from training.errors import ConfigError, DataError, InterruptedTrainingError, NotFiniteError
from training.fit.compute import Compute, choose_compute
from training.fit.fit import Trainer, fitting_memory, prepare
from training.fit.progress import Report
from training.fit.warm_start import Initial
from training.reports.image_grid import tile, write_image
from training.workdir import Workdir

_COLUMNS = 8
_TIMED_SECONDS = 5.0
_TIMED_STEPS = 20
_WARM_UP = 3


@dataclass(frozen=True)
class Cost:
    """What a run would cost."""

    memory: Footprint
    free: int
    """Bytes of memory that are free on the device."""
    seconds_per_step: float
    """The median of a few."""
    steps: int
    device: str
    threads: int
    precision: str

    @property
    def minutes(self) -> float:
        """Of all steps; validation and measuring come on top."""
        return self.steps * self.seconds_per_step / 60


@dataclass(frozen=True)
class Checked:
    """The outcome."""

    surveys: tuple[Survey, ...]
    """One for each split of the source."""
    overlap: int
    """Test images that are training images too."""
    likelihood: str
    """Which likelihood fits, and why."""
    settings: tuple[str, ...]
    """What to `--set` for it; empty where it is set already."""
    counts: Mapping[str, int]
    """By split of a run, how many images; empty where it would be refused."""
    cost: Cost | None
    problems: tuple[str, ...]
    """What a run would be refused for."""
    sheet: Path | None
    """An image of images as the encoder sees them."""

    def document(self) -> dict[str, object]:
        """The outcome for machines."""
        cost = None if self.cost is None else asdict(self.cost) | {"minutes": self.cost.minutes}
        return {
            "usable": not self.problems,
            "problems": list(self.problems),
            "splits": {one.split: _describe(one) for one in self.surveys},
            "overlap": self.overlap,
            "likelihood": {"advice": self.likelihood, "set": list(self.settings)},
            "counts": dict(self.counts),
            "cost": cost,
            "sheet": str(self.sheet) if self.sheet else None,
        }


def check(config: TrainingConfig, folder: Path) -> Checked:
    """Looks at all images, tries a few steps, and writes a contact sheet into `folder`.

    Raises:
        DataError: there is no such source, or no images in it.
        DiskError: the cache or the sheet can't be written.
        InterruptedTrainingError: SIGINT or SIGTERM came during the timed steps.
    """
    recipe = Recipe(config.input, config.preprocessing, convert=True, skip_unreadable=True)
    sources = open_source(config.data)
    keys = {name: source.content().keys for name, source in sources.items()}
    surveys = tuple(
        inspection.survey(source, recipe, keys[name]) for name, source in sources.items()
    )
    advice, settings = advise(surveys[0], config.model)
    data, cost, problems = _try(config)
    return Checked(
        surveys=surveys,
        overlap=inspection.overlap(*keys.values()) if len(keys) == 2 else 0,
        likelihood=advice,
        settings=settings,
        counts=data.counts() if data else {},
        cost=cost,
        problems=problems,
        sheet=_write_sheet(surveys[0], folder),
    )


def advise(found: Survey, model: ModelConfig) -> tuple[str, tuple[str, ...]]:
    """The likelihood that fits the images, and the settings that are not yet so."""
    family, binarise = "gaussian", "none"
    if found.is_binary:
        family = "bernoulli"
        text = "Bernoulli: every value is black or white"
    elif found.is_near_binary and model.channels == 1:
        family, binarise = "bernoulli", "sample"
        part = found.near_extremes / found.values
        text = (
            f"Bernoulli with sampled binarisation: {part:.0%} of the values are near black or "
            "white, as in scanned writing"
        )
    else:
        text = (
            "values lie between black and white, so logistic (probabilities of grey levels, in "
            "bits per dimension: --set model.likelihood.family=logistic) or Gaussian with one "
            "learned scale (a density: --set model.likelihood.family=gaussian)"
        )
    now = model.likelihood
    set_to = now.binarise if isinstance(now, BernoulliConfig) else "none"
    if (now.family, set_to) == (family, binarise) or (
        family == "gaussian" and now.family != "bernoulli"
    ):
        return f"{text}; {now.family} is set, which fits", ()
    settings = (f"model.likelihood.family={family}",)
    return text, settings + ((f"model.likelihood.binarise={binarise}",) * (family == "bernoulli"))


def _try(config: TrainingConfig) -> tuple[Data | None, Cost | None, tuple[str, ...]]:
    """The data as a run would have them, what it would cost, and what it would be refused for."""
    data: Data | None = None
    try:
        initial = prepare(config)
        data = load_data(config)
        require_enough(data)
        compute = choose_compute(config)
        memory, free = fitting_memory(config, data, compute)
        return data, _time(config, data, compute, memory, free, initial), ()
    except (ConfigError, DataError, NotFiniteError) as error:
        return data, None, (str(error),)


class _EnoughError(Exception):
    """The steps to be timed are done."""


class _Timed(Trainer):
    """A run that notes when each step ends, and stops after a few."""

    times: list[float]
    """When the steps begin, and when each has ended."""

    def run(self, console: Console) -> None:
        self.times = [time.perf_counter()]
        super().run(console)

    def _after_step(self, report: Report, images: int) -> None:
        self.times.append(time.perf_counter())
        passed = self.times[-1] - self.times[0]
        if len(self.times) > _TIMED_STEPS or (passed > _TIMED_SECONDS and len(self.times) > 2):
            raise _EnoughError

    def _stop(self, number: int) -> None:
        msg = f"stopped by {signal.Signals(number).name}; nothing was trained or kept"
        raise InterruptedTrainingError(msg, number)


def _time(
    config: TrainingConfig,
    data: Data,
    compute: Compute,
    memory: Footprint,
    free: int,
    initial: Initial | None,
) -> Cost:
    with tempfile.TemporaryDirectory() as folder:
        trainer = _Timed(config, Workdir(Path(folder)), data, compute, initial)
        with contextlib.suppress(_EnoughError):
            trainer.run(Console(quiet=True))
        steps = trainer.schedule.total_steps
    # The first steps set buffers up.
    durations = np.diff(trainer.times)
    durations = durations[_WARM_UP:] if len(durations) > _WARM_UP else durations[-1:]
    return Cost(
        memory=memory,
        free=free,
        seconds_per_step=float(np.median(durations)),
        steps=steps,
        device=compute.device.type,
        threads=compute.threads,
        precision=compute.precision,
    )


def _describe(found: Survey) -> dict[str, object]:
    return {
        "pictures": found.count,
        "modes": dict(found.modes),
        "sizes": dict(found.sizes.most_common(10)),
        "constant_values": found.constant_pixels,
        "findings": {what: asdict(finding) for what, finding in found.findings.items()},
    }


def _write_sheet(found: Survey, folder: Path) -> Path | None:
    if not found.shown:
        return None
    path = folder / "pictures.png"
    write_image(path, tile(np.stack(found.shown), min(_COLUMNS, len(found.shown))))
    return path
