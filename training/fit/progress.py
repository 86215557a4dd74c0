"""The log of a run: a progress bar, a line for each epoch, metrics.jsonl and TensorBoard."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from training.errors import NotFiniteError
from training.fit.running_sums import EpochMetrics
from training.fit.state import State
from training.text import duration, plain
from training.workdir import Workdir, disk_error, write_atomic

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
        for path in (workdir.log, workdir.warnings):
            _drop_lines_after(path, first_step)
        self._warned = _codes(workdir.warnings)
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

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
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
            "images_per_second": round(self.images_per_second(), 1),
        }
        self._write(line)
        kl = [float(f"{value:.4g}") for value in metrics.kl_per_dimension]
        _append(self._workdir.log, line | {"kl_per_dimension": kl})
        left = duration(self._seconds_left(step))
        text = f"{_epoch_text(line, metrics.dimensions)}, {left} left"
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

    def _seconds_left(self, step: int) -> float:
        done = max(1, step - self._first_step)
        return (time.perf_counter() - self._started) / done * (self._steps - step)

    def _write(self, line: Mapping[str, Value]) -> None:
        for name, value in line.items():
            if isinstance(value, float | int):
                self._writer.add_scalar(name, value, line["step"])

    def _note(self, code: str, text: str) -> None:
        _append(self._workdir.warnings, {"step": self._step, "code": code, "text": text})


def _describe(metrics: EpochMetrics) -> str:
    return (
        f"ELBO {metrics.elbo:.2f} = log p(x|z) {metrics.log_likelihood:.2f} − KL {metrics.kl:.2f}"
        f", {metrics.active_units} active"
    )


def _epoch_text(line: Mapping[str, Value], dimensions: int) -> str:
    extra = "".join(
        f", {name.replace('_', ' ')} {value:.4g}"
        for name in _SHOWN
        if isinstance(value := line.get(name), float | int)
    )
    return (
        f"epoch {line['epoch']}: ELBO {line['elbo']:.2f} nats = log p(x|z) "
        f"{line['log_likelihood']:.2f} − KL {line['kl']:.2f}, {line['active_units']} of "
        f"{dimensions} units active{extra}, {line['images_per_second']:.0f} images/s"
    )


def _append(path: Path, line: Mapping[str, object]) -> None:
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line, ensure_ascii=False, allow_nan=False) + "\n")
    except OSError as error:
        raise disk_error(path, error) from error


def _codes(path: Path) -> set[str]:
    return {json.loads(line)["code"] for line in path.read_text("utf-8").splitlines()}


def _drop_lines_after(path: Path, step: int) -> None:
    """Removes what a killed run logged after its last checkpoint, and damaged lines."""
    text = path.read_text("utf-8", errors="replace") if path.exists() else ""
    kept = [line for line in text.splitlines(keepends=True) if _is_of_before(line, step)]
    write_atomic(path, lambda file: file.write("".join(kept).encode()))


def _is_of_before(line: str, step: int) -> bool:
    try:
        return line.endswith("\n") and bool(json.loads(line)["step"] <= step)
    except (ValueError, TypeError, KeyError):
        return False
