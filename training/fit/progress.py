"""The log of a run: progress bar, a line for each epoch, metrics.jsonl, TensorBoard, run.json."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from model.networks.networks import parameter_count
from training.data.dataset import Data
from training.data.sources import source_name
from training.errors import NotFiniteError
from training.fit.compute import describe_machine, tool_versions
from training.fit.running_sums import EpochMetrics
from training.fit.state import State
from training.fit.trainer import Trainer
from training.fit.warm_start import Initial
from training.text import duration, plain, printable
from training.workdir import Workdir, disk_error, read_lines, write_bytes

Value = float | int | Sequence[float] | None
_REFRESH_SECONDS = 0.5
_SHOWN = (
    "validation_elbo", "scale", "scale_red", "scale_green", "scale_blue", "gradient_norm",
    "learning_rate",
)  # fmt: skip
"""Metrics in an epoch's line besides the bound; missing ones are left out."""


class RunLog:
    """Logs one call of `fit`; a resumed run appends to the existing files."""

    def __init__(self, workdir: Workdir, console: Console, *, first_step: int, steps: int) -> None:
        self._workdir = workdir
        self._console = console
        self._first_step, self._step, self._steps = first_step, first_step, steps
        _drop_lines_after(workdir.log, first_step)
        self._warned = {line["code"] for line in _drop_lines_after(workdir.warnings, first_step)}
        self._writer = SummaryWriter(str(workdir.tensorboard), purge_step=first_step)
        self._bar = Progress(
            TextColumn("epoch {task.fields[epoch]}"),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[metrics]}"),
            console=console,
            disable=not console.is_terminal,
            expand=True,
        )
        self._task = self._bar.add_task("", total=steps, completed=first_step, epoch="", metrics="")
        self._shown = 0.0
        self._images = 0
        self._started = self._since = self._now = time.perf_counter()

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        self._bar.stop()
        self._writer.close()
        if isinstance(error, NotFiniteError):
            self._note("stopped", str(error))

    def step(self, epoch: int, images: int, state: State) -> None:
        """Logs a step: at most twice a second, updates the bar and TensorBoard."""
        self._step = step = state.step
        self._images += images
        self._now = time.perf_counter()
        if self._now - self._shown < _REFRESH_SECONDS:
            return
        self._shown = self._now
        self._writer.add_scalar("step/loss", state.health.loss, step)
        self._writer.add_scalar("step/gradient_norm", state.health.norm, step)
        if self._bar.disable:
            return
        text = (
            f"{_describe(state.sums.metrics())}, |∇| {state.health.norm:.3g}, "
            f"lr {state.learning_rate:.2g}, {self.images_per_second():.0f} images/s"
        )
        self._bar.update(self._task, completed=step, epoch=str(epoch), metrics=text)

    def epoch(
        self, epoch: int, step: int, metrics: EpochMetrics, others: Mapping[str, Value]
    ) -> None:
        """Logs an epoch on the console, in metrics.jsonl and in TensorBoard.

        Raises:
            DiskError: the line can't be written.
        """
        line: dict[str, Value] = {
            "epoch": epoch,
            "step": step,
            "elbo": metrics.elbo,
            "log_likelihood": metrics.log_likelihood,
            "kl": metrics.kl,
            "active_units": metrics.active_units,
            **others,
            "images_per_second": (speed := round(self.images_per_second(), 1)),
        }
        for name, value in line.items():
            if isinstance(value, float | int):
                self._writer.add_scalar(name, value, step)
        kl = [float(f"{value:.4g}") for value in metrics.kl_per_dimension]
        _append(self._workdir.log, line | {"kl_per_dimension": kl})
        extra = "".join(
            f", {name.replace('_', ' ')} {value:.4g}"
            for name in _SHOWN
            if isinstance(value := line.get(name), float | int)
        )
        seconds = (time.perf_counter() - self._started) / max(1, step - self._first_step)
        text = (
            f"epoch {epoch}: {_describe(metrics)}{extra}, {speed:.0f} images/s, "
            f"{duration(seconds * (self._steps - step))} left"
        )
        self._console.print(plain(text), highlight=False, soft_wrap=True)
        if kl:
            self._writer.add_histogram("kl_per_dimension", torch.tensor(kl), step)
        self._images, self._since = 0, time.perf_counter()

    def samples(self, pixels: Tensor, step: int) -> None:
        """Logs images [n, c, h, w] in [0, 1] to TensorBoard."""
        self._writer.add_images("samples", pixels, step)
        self._since = time.perf_counter()

    def warn(self, code: str, text: str) -> None:
        """Prints a warning and appends it to warnings.jsonl, once for each `code` in a run.

        Raises:
            DiskError: the line can't be written.
        """
        if code in self._warned:
            return
        self._warned.add(code)
        self._console.print(plain(f"warning: {text}"), style="yellow", soft_wrap=True)
        self._note(code, text)

    def images_per_second(self) -> float:
        """Training speed of this epoch, up to the last step."""
        return self._images / max(1e-9, self._now - self._since)

    def _note(self, code: str, text: str) -> None:
        _append(self._workdir.warnings, {"step": self._step, "code": code, "text": text})


def _describe(metrics: EpochMetrics) -> str:
    return (
        f"ELBO {metrics.elbo:.2f} nats = log p(x|z) {metrics.log_likelihood:.2f} − KL "
        f"{metrics.kl:.2f}, {metrics.active_units} of {metrics.dimensions} units active"
    )


def _append(path: Path, line: Mapping[str, object]) -> None:
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(_encoded(line))
    except OSError as error:
        raise disk_error(path, error) from error


def _drop_lines_after(path: Path, step: int) -> list[dict[str, Any]]:
    """Removes what a killed run logged after its last checkpoint, and damaged lines; returns the
    others."""
    kept = [line for line in read_lines(path) if line.get("step", math.inf) <= step]
    write_bytes(path, "".join(map(_encoded, kept)).encode())
    return kept


def _encoded(line: Mapping[str, object]) -> str:
    return json.dumps(line, ensure_ascii=False, allow_nan=False) + "\n"


def announce(console: Console, trainer: Trainer, data: Data) -> None:
    """Prints sizes, threads and precision before the first step."""
    for name in data.skipped:
        text = plain(f"warning: left out, unreadable: {printable(name)}")
        console.print(text, style="yellow", highlight=False, soft_wrap=True)
    compute = trainer.compute
    console.print(
        f"{len(data.train)} images to train on, {len(data.validation)} to validate, "
        f"{len(data.test)} to test; {parameter_count(trainer.state.vae)} parameters; "
        f"{compute.device.type}, {compute.threads} threads, {compute.precision}",
        highlight=False,
        soft_wrap=True,
    )


def describe(
    trainer: Trainer, data: Data, initial: Initial | None, git_commit: str | None
) -> dict[str, object]:
    """The content of `run.json`, for the steps so far."""
    compute, state = trainer.compute, trainer.state
    return {
        # Stored now, because the folder may be gone later. A bundle must not contain its path.
        "data_id": source_name(trainer.config.data),
        "fingerprints": dict(data.fingerprints),
        "pictures": data.counts(),
        "machine": describe_machine(compute.device),
        "device": compute.device.type,
        "threads": compute.threads,
        "precision": compute.precision,
        "parameters": parameter_count(state.vae),
        "seconds": round(state.seconds, 1),
        "cpu_seconds": round(state.cpu_seconds, 1),
        "steps": state.step,
        "total_steps": trainer.schedule.total_steps,
        "tools": tool_versions(),
        "git_commit": git_commit,
        "init": dict(initial.about) if initial else None,
    }
