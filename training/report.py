"""What a run tells while it runs: a progress bar, a line an epoch, metrics.jsonl, TensorBoard."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from training.totals import Figures, Totals
from training.workdir import Workdir, disk_error, write_atomic

Value = float | int | None
_REFRESH_SECONDS = 0.5


class Report:
    """Opened for one call of `fit`; a resumed run continues the files of the one before."""

    def __init__(self, workdir: Workdir, console: Console, *, first_step: int, steps: int) -> None:
        self._workdir = workdir
        self._console = console
        _drop_lines_after(workdir, first_step)
        self._writer = SummaryWriter(str(workdir.tensorboard), purge_step=first_step)
        self._bar = Progress(
            TextColumn("epoch {task.fields[epoch]}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[figures]}"),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task("", total=steps, completed=first_step, epoch="", figures="")
        self._shown = 0.0
        self._images = 0
        self._since = time.perf_counter()

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

    def step(self, epoch: int, step: int, images: int, totals: Totals) -> None:
        """After each step: moves the bar."""
        self._images += images
        now = time.perf_counter()
        if self._bar.disable or now - self._shown < _REFRESH_SECONDS:
            return
        self._shown = now
        text = f"{_describe(totals.figures())} {self.images_per_second():.0f} images/s"
        self._bar.update(self._task, completed=step, epoch=str(epoch), figures=text)

    def epoch(self, epoch: int, step: int, figures: Figures, others: Mapping[str, Value]) -> None:
        """After each epoch: a line on the console, one in metrics.jsonl, TensorBoard's scalars.

        Raises:
            DiskError: the line can't be written.
        """
        line: dict[str, Value] = {
            "epoch": epoch,
            "step": step,
            "elbo": figures.elbo,
            "log_likelihood": figures.log_likelihood,
            "kl": figures.kl,
            "active_units": figures.active_units,
            **others,
            "images_per_second": round(self.images_per_second(), 1),
        }
        try:
            with self._workdir.log.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line, allow_nan=False) + "\n")
        except OSError as error:
            raise disk_error(self._workdir.log, error) from error
        for name, value in line.items():
            if value is not None:
                self._writer.add_scalar(name, value, step)
        self._console.print(_epoch_text(line), highlight=False, soft_wrap=True)
        if not figures.active_units:
            self.warn("no latent dimension is active: the posterior has collapsed onto the prior")
        self._images, self._since = 0, time.perf_counter()

    def samples(self, pixels: Tensor, step: int) -> None:
        """Puts pictures [n, c, h, w] in [0, 1] into TensorBoard."""
        self._writer.add_images("samples", pixels, step)

    def warn(self, text: str) -> None:
        self._console.print(f"warning: {text}", style="yellow", highlight=False, soft_wrap=True)

    def images_per_second(self) -> float:
        """Pictures trained on in this epoch by the second."""
        return self._images / max(1e-9, time.perf_counter() - self._since)


def _describe(figures: Figures) -> str:
    return (
        f"ELBO {figures.elbo:.2f} = log p(x|z) {figures.log_likelihood:.2f} − KL {figures.kl:.2f}"
    )


def _epoch_text(line: Mapping[str, Value]) -> str:
    extra = "".join(
        f", {name.replace('_', ' ')} {value:.4g}"
        for name in ("validation_elbo", "scale", "scale_red", "scale_green", "scale_blue")
        if (value := line.get(name)) is not None
    )
    return (
        f"epoch {line['epoch']}: ELBO {line['elbo']:.2f} nats = log p(x|z) "
        f"{line['log_likelihood']:.2f} − KL {line['kl']:.2f}, {line['active_units']} active "
        f"units{extra}, {line['images_per_second']:.0f} images/s"
    )


def _drop_lines_after(workdir: Workdir, step: int) -> None:
    """Removes what a killed run logged after its last checkpoint, and lines that are damaged."""
    if not workdir.log.exists():
        return
    lines = workdir.log.read_text("utf-8", errors="replace").splitlines(keepends=True)
    kept = [line for line in lines if line.endswith("\n") and _is_of_before(line, step)]
    write_atomic(workdir.log, lambda file: file.write("".join(kept).encode()))


def _is_of_before(line: str, step: int) -> bool:
    try:
        return bool(json.loads(line)["step"] <= step)
    except (ValueError, TypeError, KeyError):
        return False
