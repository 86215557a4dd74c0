"""`vaetrain check`: inspects the images, tries a few steps, and reports problems and costs."""

from __future__ import annotations

import itertools
import resource
import signal
import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from model.config import ModelConfig
from model.networks.networks import parameter_count
from training.check import inspection
from training.check.inspection import Survey
from training.config.run import TrainingConfig
from training.data.dataset import Data, load_data, require_enough
from training.data.decoded_cache import Recipe
from training.data.minibatches import free_memory
from training.data.sources import open_source
from training.errors import ConfigError, DataError, InterruptedTrainingError, NotFiniteError
from training.fit.checkpoint import write_checkpoint
from training.fit.compute import Compute, choose_compute, explain_memory_errors
from training.fit.fit import prepare
from training.fit.trainer import Trainer, stop_signals
from training.fit.warm_start import Initial
from training.reports.image_grid import tile, write_image
from training.workdir import Workdir

_COLUMNS = 8
_TIMED_SECONDS = 5.0
_TIMED_STEPS = 20
_WARM_UP = 3


@dataclass(frozen=True)
class Memory:
    """The memory that a few steps and a checkpoint used."""

    parameters: int
    """Number of trained values."""
    peak: int
    """Bytes: of the whole process on a CPU, of torch's allocations on a GPU."""


@dataclass(frozen=True)
class Cost:
    """What a run would cost, measured on a few steps."""

    memory: Memory
    free: int
    """Bytes of memory that were free on the device before the steps."""
    seconds_per_step: float
    """The median of the measured steps."""
    steps: int
    device: str
    threads: int
    precision: str

    @property
    def minutes(self) -> float:
        """Time of all steps, without validation and evaluation."""
        return self.steps * self.seconds_per_step / 60


@dataclass(frozen=True)
class Checked:
    """The result of a check."""

    surveys: tuple[Survey, ...]
    """One for each split of the source."""
    overlap: int
    """Number of test images that are also training images."""
    likelihood: str
    """Which likelihood suits the images, and why."""
    settings: tuple[str, ...]
    """The settings to `--set` for it; empty if they are set already."""
    counts: Mapping[str, int]
    """Number of images by split; empty if the images can't be used."""
    cost: Cost | None
    problems: tuple[str, ...]
    """Why a run would fail."""
    sheet: Path | None
    """A contact sheet of images as the encoder sees them."""

    def document(self) -> dict[str, object]:
        """The result as a JSON document."""
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
    """Inspects all images, tries a few steps, and writes a contact sheet to `folder`.

    Raises:
        DataError: the source is missing or contains no images.
        DiskError: the cache or the sheet can't be written.
        InterruptedTrainingError: SIGINT or SIGTERM arrived during the timed steps.
    """
    recipe = Recipe(config.input, config.preprocessing, convert=True, skip_unreadable=True)
    sources = open_source(config.data)
    keys = {name: source.content()[1] for name, source in sources.items()}
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
    """The likelihood that suits the images, and the settings to change for it."""
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
    if (now.family, now.binarisation or "none") == (family, binarise) or (
        family == "gaussian" and now.family != "bernoulli"
    ):
        return f"{text}; {now.family} is set, which fits", ()
    settings = (f"model.likelihood.family={family}",)
    return text, settings + ((f"model.likelihood.binarise={binarise}",) * (family == "bernoulli"))


def _try(config: TrainingConfig) -> tuple[Data | None, Cost | None, tuple[str, ...]]:
    """The data of a run, its cost, and the reasons why it would fail."""
    data: Data | None = None
    try:
        initial = prepare(config)
        data = load_data(config)
        require_enough(data)
        compute = choose_compute(config)
        with explain_memory_errors(config):
            return data, _measure(config, data, compute, initial), ()
    except (ConfigError, DataError, NotFiniteError) as error:
        return data, None, (str(error),)


def _measure(config: TrainingConfig, data: Data, compute: Compute, initial: Initial | None) -> Cost:
    """Takes a few real steps, writes a checkpoint, and measures time and memory."""
    free = free_memory(compute.device)
    trainer = Trainer(config, data, compute, initial)
    times = [time.perf_counter()]
    with stop_signals() as received:
        for _ in itertools.islice(trainer.steps(), _TIMED_STEPS):
            times.append(time.perf_counter())
            if received:
                msg = f"stopped by {signal.Signals(received[0]).name}; nothing was trained or kept"
                raise InterruptedTrainingError(msg, received[0])
            if times[-1] - times[0] > _TIMED_SECONDS and len(times) > 2:
                break
    with tempfile.TemporaryDirectory() as folder:
        write_checkpoint(Workdir(Path(folder)), trainer.state.checkpoint(data.fingerprints))
    # The first steps are slower, because they allocate buffers.
    durations = np.diff(times)
    durations = durations[_WARM_UP:] if len(durations) > _WARM_UP else durations[-1:]
    return Cost(
        memory=Memory(parameter_count(trainer.state.vae), _peak_memory(compute)),
        free=free,
        seconds_per_step=float(np.median(durations)),
        steps=trainer.schedule.total_steps,
        device=compute.device.type,
        threads=compute.threads,
        precision=compute.precision,
    )


def _peak_memory(compute: Compute) -> int:
    if compute.device.type == "cuda":
        return torch.cuda.max_memory_allocated(compute.device)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


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
