"""Fits a VAE: the loop, reading like the algorithm, and what happens after steps and epochs."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from pathlib import Path

import torch
from rich.console import Console
from torch import Tensor

from model.networks import parameter_count
from training import objective
from training.checkpoint import read_checkpoint, write_checkpoint, write_weights
from training.commit import git_commit
from training.compute import Compute, choose_compute, tool_versions
from training.config import TrainingConfig
from training.data import Data, load_data, require_enough
from training.errors import InterruptedTrainingError, NotFiniteError, StageError
from training.interrupt import stop_signals
from training.minibatch import Draw, Minibatches, generator
from training.report import Report
from training.schedule import Schedule
from training.source import source_name
from training.state import State
from training.validation import validation_elbo
from training.workdir import Workdir, disk_error, sole_use, write_json

_SAMPLES = 64


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
        ConfigError: `resume` with other settings or pictures than the checkpoint's.
        DataError: the pictures can't be trained on, or are too few.
        DiskError: a file can't be written.
        InterruptedTrainingError: SIGINT or SIGTERM came; a checkpoint has been written.
        NotFiniteError: the loss or gradient overflowed; the last checkpoint is kept.
        StageError: the folder holds a run already and `resume` is false, or one is going on there.
    """
    workdir = Workdir(folder)
    if workdir.checkpoint.exists() and not resume:
        msg = f"{folder}: holds a run already; continue it with --resume, or take another workdir"
        raise StageError(msg)
    console = console or Console(stderr=True)
    data = load_data(config)
    require_enough(data)
    compute = choose_compute(config)
    with sole_use(folder):
        trainer = Trainer(config, workdir, data, compute)
        trainer.after_epoch = after_epoch
        _train(trainer, console)
    return workdir


def _train(trainer: Trainer, console: Console) -> None:
    config, workdir = trainer.config, trainer.workdir
    if workdir.checkpoint.exists():
        trainer.state.load(read_checkpoint(workdir, config, trainer.data.fingerprints))
    write_json(workdir.config, config.model_dump(mode="json"))
    _announce(console, trainer)
    try:
        trainer.run(console)
    except OSError as error:  # TensorBoard's files; ours raise DiskError themselves
        raise disk_error(workdir.folder, error) from error
    write_weights(workdir, trainer.state.weights())
    write_json(workdir.run, _about(trainer))


class Trainer:
    """One run: its configuration, pictures and machine, and the state that steps change."""

    def __init__(
        self, config: TrainingConfig, workdir: Workdir, data: Data, compute: Compute
    ) -> None:
        self.config = config
        self.workdir = workdir
        self.data = data
        self.compute = compute
        self.state = State(config, compute.device)
        self.batches = Minibatches(
            data.train.images,
            batch_size=config.batch_size,
            seed=config.seed,
            binarise=config.binarise,
            device=compute.device,
        )
        # Read now: a long run may outlast the commit that its code was loaded from.
        self.git_commit = git_commit("model", "training")
        self.after_epoch: Callable[[], object] | None = None
        self.schedule = Schedule(config, self.batches.steps_per_epoch)

    def run(self, console: Console) -> None:
        """Steps until the last epoch, an early stop or a signal; errors as for `fit`."""
        state, schedule = self.state, self.schedule
        accelerator = self.compute.accelerator
        prepared, optimiser = accelerator.prepare(state.vae, state.optimiser)
        model = self.compute.compiled(prepared)
        started = time.perf_counter() - state.seconds
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
                accelerator.backward(terms.loss)
                norm = accelerator.clip_grad_norm_(
                    state.parameters, self.config.optimiser.clip_norm
                )
                self._check_finite(terms.loss, norm)
                optimiser.step()
                optimiser.zero_grad()

                state.average()
                state.totals.add(terms.log_likelihood, passed.mean, passed.logvar)
                state.step += 1
                state.seconds = time.perf_counter() - started
                self._after_step(report, len(images))
                if received:
                    self._stop(received[0])

    def _after_step(self, report: Report, images: int) -> None:
        step, config = self.state.step, self.config
        epoch, position = divmod(step, self.batches.steps_per_epoch)
        report.step(epoch + bool(position), step, images, self.state.totals)
        if not position:
            self._after_epoch(report, epoch)
        if not position or (config.checkpoint_steps and step % config.checkpoint_steps == 0):
            self._save()
        if not position and self.after_epoch:
            self.after_epoch()

    def _after_epoch(self, report: Report, epoch: int) -> None:
        state, config = self.state, self.config
        bound = self._validate()
        if bound is not None and config.early_stop:
            state.remember_if_best(bound, epoch)
        others = {
            "beta": self.schedule.beta(state.step - 1),
            "learning_rate": float(state.optimiser.param_groups[0]["lr"]),
            "scale": state.vae.scale_value(),
            "validation_elbo": bound,
            "seconds": round(state.seconds, 1),
        }
        report.epoch(epoch, state.step, state.totals.figures(), others)
        state.totals.reset()
        if epoch % config.sample_epochs == 0 or state.step == self.schedule.total_steps:
            report.samples(self._samples(), state.step)

    def _validate(self) -> float | None:
        if not len(self.data.validation):
            return None
        return validation_elbo(
            self.state.ema,
            self.data.validation.images,
            binarise=self.config.binarise,
            seed=self.config.seed,
            device=self.compute.device,
        )

    @torch.no_grad()
    def _samples(self) -> Tensor:
        rng = generator(self.compute.device, self.config.seed, Draw.SAMPLES)
        shape = (_SAMPLES, *self.config.model.latent_shape)
        latents = torch.randn(shape, generator=rng, device=self.compute.device)
        pixels: Tensor = self.state.ema.decoder(latents)[0]
        return pixels.cpu()

    def _stops_early(self) -> bool:
        patience, state = self.config.early_stop, self.state
        epoch = state.step // self.batches.steps_per_epoch
        return bool(patience and state.best_epoch and epoch - state.best_epoch >= patience)

    def _check_finite(self, loss: Tensor, norm: Tensor) -> None:
        if bool(torch.isfinite(loss) & torch.isfinite(norm)):
            return
        kept = "the last checkpoint is kept" if self.workdir.checkpoint.exists() else "none is kept"
        msg = (
            f"step {self.state.step}: the loss is {loss.item():g} and its gradient's norm "
            f"{norm.item():g}; {kept}. Lower optimiser.learning_rate or optimiser.clip_norm, or "
            "set precision = float32."
        )
        raise NotFiniteError(msg)

    def _save(self) -> None:
        write_checkpoint(self.workdir, self.state.checkpoint(self.data.fingerprints))

    def _stop(self, number: int) -> None:
        self._save()
        msg = (
            f"stopped by {signal.Signals(number).name} after step {self.state.step} of "
            f"{self.schedule.total_steps}; continue with --resume"
        )
        raise InterruptedTrainingError(msg, number)


def _announce(console: Console, trainer: Trainer) -> None:
    compute, data = trainer.compute, trainer.data
    for name in data.skipped:
        console.print(
            f"warning: left out, unreadable: {name}",
            style="yellow",
            highlight=False,
            soft_wrap=True,
        )
    console.print(
        f"{len(data.train)} pictures to train on, {len(data.validation)} to validate, "
        f"{len(data.test)} to test; {parameter_count(trainer.state.vae)} parameters; "
        f"{compute.device.type}, {compute.threads} threads, "
        f"{'bfloat16' if compute.bfloat16 else 'float32'}",
        highlight=False,
        soft_wrap=True,
    )


def _about(trainer: Trainer) -> dict[str, object]:
    compute, data, state = trainer.compute, trainer.data, trainer.state
    return {
        # Noted now: later the folder may be gone, and its path must not end up in a bundle.
        "data_id": source_name(trainer.config.data),
        "fingerprints": dict(data.fingerprints),
        "pictures": data.counts(),
        "device": compute.device.type,
        "threads": compute.threads,
        "precision": "bfloat16" if compute.bfloat16 else "float32",
        "seconds": round(state.seconds, 1),
        "steps": state.step,
        "tools": tool_versions(),
        "git_commit": trainer.git_commit,
    }
