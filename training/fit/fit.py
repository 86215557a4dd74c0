"""Fits a VAE: the loop, reading like the algorithm, and what happens after steps and epochs."""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Callable
from pathlib import Path

import torch
from rich.console import Console
from torch import Tensor
from torch.nn.utils import clip_grad_norm_

from model.bundle.manifest import Scale
from training.check.footprint import Footprint, estimate_footprint, require_memory
from training.commit import git_commit
from training.config.run import TrainingConfig
from training.data.dataset import Data, load_data, require_enough
from training.data.minibatches import Draw, Minibatches, free_memory, generator, resident_bytes
from training.errors import InterruptedTrainingError, StageError
from training.fit import objective, run_info
from training.fit.calibration import calibrated_scale, scale_figures
from training.fit.checkpoint import Checkpoint, read_checkpoint, write_checkpoint, write_weights
from training.fit.compute import Compute, choose_compute
from training.fit.custom_networks import check_networks
from training.fit.health import diverged, examine, not_finite
from training.fit.interrupt import stop_signals
from training.fit.progress import Report
from training.fit.schedule import Schedule
from training.fit.state import State
from training.fit.validation import validation_elbo
from training.fit.warm_start import Initial, read_initial
from training.workdir import Workdir, disk_error, sole_use, write_json

_SAMPLES = 64
_CALIBRATED = 2000
"""Training images that an optimal scale is estimated on after an epoch."""


def fit(
    config: TrainingConfig,
    folder: Path,
    *,
    resume: bool = False,
    console: Console | None = None,
    after_epoch: Callable[[], object] | None = None,
) -> Workdir:
    """Trains a VAE and leaves its weights, checkpoint and metrics in `folder`.

    On one machine with the same versions and threads, a run that was stopped after any step and
    resumed ends with the same bits as one that ran straight through. `after_epoch` is called when
    an epoch's figures and checkpoint are written; what it raises ends the run.

    Raises:
        ConfigError: `resume` with other settings or images than the checkpoint's, `init` is no
            start for this model, a network of one's own can't be trained and exported, or the run
            can't fit into memory.
        DataError: the images can't be trained on, or are too few.
        DiskError: a file can't be written.
        DivergedError: the loss exploded; the last good checkpoint is kept.
        InterruptedTrainingError: SIGINT or SIGTERM came; a checkpoint has been written.
        NotFiniteError: the loss or gradient overflowed; the last checkpoint is kept.
        StageError: the folder holds a run already and `resume` is false, or one is going on there.
    """
    workdir = Workdir(folder)
    if workdir.checkpoint.exists() and not resume:
        msg = f"{folder}: holds a run already; continue it with --resume, or take another workdir"
        raise StageError(msg)
    console = console or Console(stderr=True)
    initial = prepare(config)
    data = load_data(config)
    require_enough(data)
    compute = choose_compute(config)
    fitting_memory(config, data, compute)
    with sole_use(folder):
        trainer = Trainer(config, workdir, data, compute, initial)
        trainer.after_epoch = after_epoch
        _train(trainer, console)
    return workdir


def prepare(config: TrainingConfig) -> Initial | None:
    """What is looked at before any image: the networks, and the weights to start from, if any.

    Raises:
        ConfigError: `init` is no start for this model, or a network of one's own can't be trained
            and exported.
    """
    check_networks(config.model)
    return read_initial(Path(config.init), config.model) if config.init else None


def fitting_memory(config: TrainingConfig, data: Data, compute: Compute) -> tuple[Footprint, int]:
    """What a run will take, and the bytes that are free for it.

    Raises:
        ConfigError: that is too little.
    """
    device = compute.device
    images = resident_bytes(data.train.images, device)
    footprint = estimate_footprint(config, images=images, bfloat16=compute.bfloat16)
    free = free_memory(device)
    require_memory(config, footprint, free, on=device.type)
    return footprint, free


def _train(trainer: Trainer, console: Console) -> None:
    config, workdir = trainer.config, trainer.workdir
    if workdir.checkpoint.exists():
        known = (trainer.data.fingerprints, trainer.state.initial)
        trainer.load(read_checkpoint(workdir, config, *known))
    write_json(workdir.config, config.model_dump(mode="json"))
    # Already now, so that a run can be reported on while it goes on, or after it was killed.
    write_json(workdir.run, trainer.describe())
    run_info.announce(console, trainer.data, trainer.compute, trainer.state)
    try:
        trainer.run(console)
    except OSError as error:  # TensorBoard's files; ours raise DiskError themselves
        raise disk_error(workdir.folder, error) from error
    write_weights(workdir, trainer.state.weights())
    write_json(workdir.run, trainer.describe())


class Trainer:
    """One run: its configuration, images and machine, and the state that steps change."""

    def __init__(
        self,
        config: TrainingConfig,
        workdir: Workdir,
        data: Data,
        compute: Compute,
        initial: Initial | None = None,
    ) -> None:
        self.config = config
        self.workdir = workdir
        self.data = data
        self.compute = compute
        self.initial = initial
        self.state = State(config, compute.device, initial)
        self.batches = Minibatches(
            data.train.images,
            batch_size=config.batch_size,
            seed=config.seed,
            binarise=config.binarise,
            device=compute.device,
            augmented=config.data.augment,
        )
        # Read now: a long run may outlast the commit that its code was loaded from.
        self.git_commit = git_commit("model", "training")
        self.after_epoch: Callable[[], object] | None = None
        self.schedule = Schedule(config, self.batches.steps_per_epoch)
        self._saved_step = 0
        self._save_is_due = False

    def load(self, checkpoint: Checkpoint) -> None:
        """Continues from a checkpoint."""
        self.state.load(checkpoint)
        self._saved_step = checkpoint.step

    def describe(self) -> dict[str, object]:
        """The content of `run.json`."""
        return run_info.describe(
            self.data,
            self.compute,
            self.state,
            self.initial,
            total_steps=self.schedule.total_steps,
            git_commit=self.git_commit,
        )

    def run(self, console: Console) -> None:
        """Steps until the last epoch, an early stop or a signal; errors as for `fit`."""
        state, schedule = self.state, self.schedule
        model, optimiser = state.vae, state.optimiser
        self.compute.compile_networks(model)
        started = time.perf_counter() - state.seconds
        cpu_started = time.process_time() - state.cpu_seconds
        report = Report(self.workdir, console, first_step=state.step, steps=schedule.total_steps)
        with report, stop_signals() as received:
            while state.step < schedule.total_steps and not self._stops_early():
                state.set_learning_rate(schedule.learning_rate(state.step))
                beta = schedule.beta(state.step)
                images = self.batches[state.step]
                shape = (schedule.samples(state.step), *self.config.model.latent_shape)
                noise = self.batches.noise(state.step, len(images), shape)

                with self.compute.autocast():
                    passed = model(images, noise)
                terms = objective.evaluate(self.config.objective, state.vae, images, passed, beta)
                terms.loss.backward()  # type: ignore[no-untyped-call]
                norm = clip_grad_norm_(state.parameters, self.config.optimiser.clip_norm)
                self._examine(terms.loss, norm, len(images))
                optimiser.step()
                optimiser.zero_grad()

                state.average()
                state.totals.add(terms.log_likelihood, terms.divergences, passed.mean)
                state.step += 1
                state.seconds = time.perf_counter() - started
                state.cpu_seconds = time.process_time() - cpu_started
                self._after_step(report, len(images))
                if received:
                    self._stop(received[0])
            self._finish()

    def _after_step(self, report: Report, images: int) -> None:
        step, config = self.state.step, self.config
        epoch, position = divmod(step, self.batches.steps_per_epoch)
        report.step(epoch + bool(position), images, self.state)
        if not position:
            self._after_epoch(report, epoch)
        if not position or (config.checkpoint_steps and step % config.checkpoint_steps == 0):
            self._save_is_due = True
        # A state whose loss has just jumped may be a broken one.
        if self._save_is_due and self.state.health.steadiness.steady:
            self._save()
        if not position and self.after_epoch:
            self.after_epoch()

    def _after_epoch(self, report: Report, epoch: int) -> None:
        state, config = self.state, self.config
        scale = self._scale()
        bound = self._validate(scale)
        if bound is not None and config.early_stop:
            state.remember_if_best(bound, epoch)
        beta = self.schedule.beta(state.step - 1)
        gradients, figures = state.health.gradients, state.totals.figures()
        others = {
            "beta": beta,
            "learning_rate": state.learning_rate,
            "gradient_norm": gradients.mean,
            "gradient_norm_max": gradients.largest,
            "clipped_share": gradients.clipped_share,
            **scale_figures(scale),
            "validation_elbo": bound,
            "seconds": round(state.seconds, 1),
            "cpu_seconds": round(state.cpu_seconds, 1),
        }
        report.epoch(epoch, state.step, figures, others)
        for finding in examine(figures, warmed_up=beta >= config.objective.beta):
            report.warn(finding.code, finding.text)
        state.totals.reset()
        state.health.reset()
        if epoch % config.sample_epochs == 0 or state.step == self.schedule.total_steps:
            report.samples(self._samples(), state.step)

    def _scale(self) -> Scale | None:
        """The likelihood's, were the averaged weights exported now; an optimal one is estimated
        on some of the training images."""
        return calibrated_scale(
            self.state.ema,
            self.data.train.images,
            seed=self.config.seed,
            device=self.compute.device,
            most=_CALIBRATED,
        )

    def _validate(self, scale: Scale | None) -> float | None:
        if not len(self.data.validation):
            return None
        bound = validation_elbo(
            self.state.ema,
            self.data.validation.images,
            binarise=self.config.binarise,
            seed=self.config.seed,
            device=self.compute.device,
            scale=scale,
        )
        if not math.isfinite(bound):
            raise not_finite(self.state.step, f"the validation bound is {bound:g}", self._kept())
        return bound

    @torch.no_grad()
    def _samples(self) -> Tensor:
        rng = generator(self.compute.device, self.config.seed, Draw.SAMPLES)
        latents = self.state.ema.sample_prior(_SAMPLES, rng)
        pixels: Tensor = self.state.ema.decoder(latents)[0]
        return pixels.cpu()

    def _stops_early(self) -> bool:
        patience, state = self.config.early_stop, self.state
        epoch = state.step // self.batches.steps_per_epoch
        return bool(patience and state.best_epoch and epoch - state.best_epoch >= patience)

    def _examine(self, loss: Tensor, norm: Tensor, rows: int) -> None:
        health, step = self.state.health, self.state.step
        # Both in one transfer, which a GPU is waited for once.
        numbers = (loss_value, norm_value) = torch.stack((loss.detach(), norm)).tolist()
        if not all(map(math.isfinite, numbers)):
            what = "the loss is {:g} and its gradient's norm {:g}".format(*numbers)
            raise not_finite(step, what, self._kept())
        health.add(loss_value, norm_value, rows, self.config)
        if health.steadiness.is_lost(self.schedule.total_steps):
            raise diverged(step, health, self._kept())

    def _kept(self) -> str:
        saved = self._saved_step
        return f"the last good checkpoint, of step {saved}, is kept" if saved else "none is kept"

    def _save(self) -> None:
        if not self.state.is_finite():
            raise not_finite(self.state.step, "a weight is infinite or not a number", self._kept())
        write_checkpoint(self.workdir, self.state.checkpoint(self.data.fingerprints))
        self._saved_step, self._save_is_due = self.state.step, False

    def _finish(self) -> None:
        """Saves what the last steps held back, unless they left the loss beyond its range."""
        if not self._save_is_due:
            return
        if not self.state.health.steadiness.is_noise:
            raise diverged(self.state.step, self.state.health, self._kept())
        self._save()

    def _stop(self, number: int) -> None:
        if self.state.health.steadiness.steady:
            self._save()
        saved = self._saved_step
        how = (
            f"continue with --resume, from step {saved}"
            if saved
            else "there is no checkpoint yet, so --resume begins anew"
        )
        msg = (
            f"stopped by {signal.Signals(number).name} after step {self.state.step} of "
            f"{self.schedule.total_steps}; {how}"
        )
        raise InterruptedTrainingError(msg, number)
