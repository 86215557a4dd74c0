"""`fit`: trains a VAE in a workdir, with checkpoints, validation, logs and early stopping."""

from __future__ import annotations

import math
import signal
from collections.abc import Callable
from pathlib import Path

import torch
from rich.console import Console
from torch import Tensor

from model.bundle.manifest import Scale
from training.config.run import TrainingConfig
from training.data.dataset import Data, load_data, require_enough
from training.data.minibatches import Draw, generator
from training.errors import InterruptedTrainingError, StageError
from training.fit.calibration import calibrated_scale, scale_metrics, validation_elbo
from training.fit.checkpoint import read_checkpoint, write_checkpoint, write_weights
from training.fit.compute import choose_compute, explain_memory_errors
from training.fit.custom_networks import check_networks
from training.fit.health import diverged, examine, not_finite
from training.fit.progress import RunLog, announce, describe
from training.fit.trainer import Trainer, stop_signals
from training.fit.warm_start import Initial, read_initial
from training.system import git_commit
from training.workdir import Workdir, disk_error, sole_use, write_json

_SAMPLES = 64
_CALIBRATED = 2000
"""Number of training images on which an optimal scale is estimated after an epoch."""


def fit(
    config: TrainingConfig,
    folder: Path,
    *,
    resume: bool = False,
    console: Console | None = None,
    after_epoch: Callable[[], object] | None = None,
) -> Workdir:
    """Trains a VAE and writes its weights, checkpoint and metrics to `folder`.

    On one machine with the same versions and threads, a run that was stopped after any step and
    resumed ends with the same bits as an uninterrupted run.

    Args:
        after_epoch: called after each epoch's metrics and checkpoint have been written. An
            exception that it raises ends the run.

    Raises:
        ConfigError: `resume` with other settings or images than the checkpoint's; `init` doesn't
            match this model; a custom network can't be trained and exported; or memory ran out.
        DataError: the images can't be trained on, or are too few.
        DiskError: a file can't be written.
        DivergedError: the loss jumped and stayed high; the last good checkpoint is kept.
        InterruptedTrainingError: SIGINT or SIGTERM arrived; a checkpoint has been written.
        NotFiniteError: the loss or gradient overflowed; the last checkpoint is kept.
        StageError: the folder holds a run and `resume` is false, or another process trains there.
    """
    workdir = Workdir(folder)
    if workdir.checkpoint.exists() and not resume:
        msg = f"{folder}: already contains a run; continue it with --resume, or use another workdir"
        raise StageError(msg)
    initial = prepare(config)
    data = load_data(config)
    require_enough(data)
    compute = choose_compute(config)
    with sole_use(folder), explain_memory_errors(config):
        trainer = Trainer(config, data, compute, initial)
        _Run(trainer, workdir, data, initial, after_epoch).train(console or Console(stderr=True))
    return workdir


def prepare(config: TrainingConfig) -> Initial | None:
    """Checks the networks and reads the weights to start from, if any, before any image is read.

    Raises:
        ConfigError: `init` doesn't match this model, or a custom network can't be trained and
            exported.
    """
    check_networks(config.model)
    return read_initial(Path(config.init), config.model) if config.init else None


class _Run:
    """One call of `fit`: what happens around the steps of its trainer."""

    def __init__(
        self,
        trainer: Trainer,
        workdir: Workdir,
        data: Data,
        initial: Initial | None,
        after_epoch: Callable[[], object] | None,
    ) -> None:
        self.trainer, self.state, self.config = trainer, trainer.state, trainer.config
        self.workdir, self.data, self.initial = workdir, data, initial
        self.after_epoch = after_epoch
        # Read now, because the repository may change before a long run ends.
        self.git_commit = git_commit("model", "training")
        self._save_is_due = False

    def train(self, console: Console) -> None:
        """Resumes or begins, trains to the end and writes the weights."""
        workdir, trainer = self.workdir, self.trainer
        if workdir.checkpoint.exists():
            known = (self.data.fingerprints, self.state.initial)
            self.state.load(read_checkpoint(workdir, self.config, *known))
        write_json(workdir.config, self.config.model_dump(mode="json"))
        # Written before the first step too, so that a report of an unfinished run is possible.
        self._write_run_info()
        announce(console, trainer, self.data)
        try:
            self._train(console)
        except OSError as error:  # from TensorBoard; our own writes raise DiskError
            raise disk_error(workdir.folder, error) from error
        write_weights(workdir, self.state.weights())
        self._write_run_info()

    def _train(self, console: Console) -> None:
        first, last = self.state.step, self.trainer.schedule.total_steps
        log = RunLog(self.workdir, console, first_step=first, steps=last)
        with log, stop_signals() as received:
            for images in self.trainer.steps():
                self._after_step(log, images)
                if received:
                    self._stop(received[0])
            self._save_the_rest()

    def _write_run_info(self) -> None:
        document = describe(self.trainer, self.data, self.initial, self.git_commit)
        write_json(self.workdir.run, document)

    def _after_step(self, log: RunLog, images: int) -> None:
        step, every = self.state.step, self.config.checkpoint_steps
        epoch, position = divmod(step, self.trainer.batches.steps_per_epoch)
        log.step(epoch + bool(position), images, self.state)
        if not position:
            self._measure_epoch(log, epoch)
        if not position or (every and step % every == 0):
            self._save_is_due = True
        # A jump of the loss may mean broken weights, so the checkpoint waits until it is over.
        if self._save_is_due and self.state.health.detector.is_steady:
            self._save()
        if not position and self.after_epoch:
            self.after_epoch()

    def _measure_epoch(self, log: RunLog, epoch: int) -> None:
        state, config = self.state, self.config
        scale, bound = self._measure()
        if bound is not None and config.early_stop:
            state.remember_if_best(bound, epoch)
        beta = self.trainer.schedule.beta(state.step - 1)
        gradients, metrics = state.health.gradients, state.sums.metrics()
        others = {
            "beta": beta,
            "learning_rate": state.learning_rate,
            "gradient_norm": gradients.mean,
            "gradient_norm_max": gradients.largest,
            "clipped_share": gradients.clipped_share,
            **scale_metrics(scale),
            "validation_elbo": bound,
            "seconds": round(state.seconds, 1),
            "cpu_seconds": round(state.cpu_seconds, 1),
        }
        log.epoch(epoch, state.step, metrics, others)
        if finding := examine(metrics, warmed_up=beta >= config.objective.beta):
            log.warn(finding.code, finding.text)
        state.sums.reset()
        state.health.reset()
        if epoch % config.sample_epochs == 0 or state.step == self.trainer.schedule.total_steps:
            log.samples(self._samples(), state.step)

    def _measure(self) -> tuple[Scale | None, float | None]:
        """Of the averaged weights: their likelihood's scale, estimated on some training images, and
        their validation bound if there are validation images."""
        ema, seed, device = self.state.ema, self.config.seed, self.trainer.compute.device
        images, held = self.data.train.images, self.data.validation.images
        scale = calibrated_scale(ema, images, seed=seed, device=device, most=_CALIBRATED)
        if not len(held):
            return scale, None
        how = self.config.binarise
        bound = validation_elbo(ema, held, binarise=how, seed=seed, device=device, scale=scale)
        if not math.isfinite(bound):
            what = f"the validation bound is {bound:g}"
            raise not_finite(self.state.step, what, self.state.kept())
        return scale, bound

    @torch.no_grad()
    def _samples(self) -> Tensor:
        """Images decoded from the prior, [n, c, h, w] in [0, 1]."""
        rng = generator(self.trainer.compute.device, self.config.seed, Draw.SAMPLES)
        latents = self.state.ema.sample_prior(_SAMPLES, rng)
        pixels: Tensor = self.state.ema.decoder(latents)[0]
        return pixels.cpu()

    def _save(self) -> None:
        state = self.state
        if not state.is_finite():
            raise not_finite(state.step, "a weight is infinite or NaN", state.kept())
        write_checkpoint(self.workdir, state.checkpoint(self.data.fingerprints))
        state.saved_step, self._save_is_due = state.step, False

    def _save_the_rest(self) -> None:
        """Saves the last steps if their checkpoint waited, unless the loss has diverged."""
        if not self._save_is_due:
            return
        if not self.state.health.detector.is_noise:
            raise diverged(self.state.step, self.state.health, self.state.kept())
        self._save()

    def _stop(self, number: int) -> None:
        if self.state.health.detector.is_steady:
            self._save()
        saved = self.state.saved_step
        how = (
            f"continue with --resume, from step {saved}"
            if saved
            else "no checkpoint exists yet, so --resume starts again from the first step"
        )
        msg = (
            f"stopped by {signal.Signals(number).name} after step {self.state.step} of "
            f"{self.trainer.schedule.total_steps}; {how}"
        )
        raise InterruptedTrainingError(msg, number)
