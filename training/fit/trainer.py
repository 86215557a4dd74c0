"""The training algorithm: one step after another, until a signal stops it."""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import torch
from torch import Tensor
from torch.nn.utils import clip_grad_norm_

from training.config.run import TrainingConfig
from training.data.dataset import Data
from training.data.minibatches import Minibatches
from training.fit import objective
from training.fit.compute import Compute, compile_halves
from training.fit.health import diverged, not_finite
from training.fit.schedule import Schedule
from training.fit.state import State
from training.fit.warm_start import Initial


class Trainer:
    """Trains a VAE on the training images of `data`."""

    def __init__(
        self, config: TrainingConfig, data: Data, compute: Compute, initial: Initial | None = None
    ) -> None:
        self.config = config
        self.compute = compute
        self.state = State(config, compute.device, initial)
        self.batches = Minibatches(
            data.train.images,
            batch_size=config.batch_size,
            seed=config.seed,
            binarise=config.binarise,
            device=compute.device,
            augmented=config.data.augment,
        )
        self.schedule = Schedule(config, self.batches.steps_per_epoch)

    def steps(self) -> Iterator[int]:
        """Takes the remaining steps, and yields the number of images after each of them.

        A caller may stop iterating after any step.

        Raises:
            DivergedError: the loss jumped and stayed high.
            NotFiniteError: the loss or the gradient overflowed.
        """
        state = self.state
        if self.compute.compile:
            compile_halves(state.vae)
        started = time.perf_counter() - state.seconds
        cpu_started = time.process_time() - state.cpu_seconds
        while state.step < self.schedule.total_steps and not self._stops_early():
            images = self._step()
            state.seconds = time.perf_counter() - started
            state.cpu_seconds = time.process_time() - cpu_started
            yield images

    def _step(self) -> int:
        state, schedule = self.state, self.schedule
        state.set_learning_rate(schedule.learning_rate(state.step))
        beta = schedule.beta(state.step)
        images = self.batches[state.step]
        shape = (schedule.samples(state.step), *self.config.model.latent_shape)
        noise = self.batches.noise(state.step, len(images), shape)

        with self.compute.autocast():
            passed = state.vae(images, noise)
        terms = objective.evaluate(self.config.objective, state.vae, images, passed, beta)
        terms.loss.backward()  # type: ignore[no-untyped-call]
        norm = clip_grad_norm_(state.parameters, self.config.optimiser.clip_norm)
        self._examine(terms.loss, norm, len(images))
        state.optimiser.step()
        state.optimiser.zero_grad()

        state.average()
        state.sums.add(terms.log_likelihood, terms.divergences, passed.mean)
        state.step += 1
        return len(images)

    def _examine(self, loss: Tensor, norm: Tensor, rows: int) -> None:
        state = self.state
        # Both in one transfer, so that a GPU synchronises once.
        numbers = (loss_value, norm_value) = torch.stack((loss.detach(), norm)).tolist()
        if not all(map(math.isfinite, numbers)):
            what = "the loss is {:g} and its gradient's norm {:g}".format(*numbers)
            raise not_finite(state.step, what, state.kept())
        state.health.add(loss_value, norm_value, rows, self.config)
        if state.health.detector.has_diverged(self.schedule.total_steps):
            raise diverged(state.step, state.health, state.kept())

    def _stops_early(self) -> bool:
        patience, state = self.config.early_stop, self.state
        epoch = state.step // self.batches.steps_per_epoch
        return bool(patience and state.best_epoch and epoch - state.best_epoch >= patience)


@contextmanager
def stop_signals() -> Iterator[list[int]]:
    """Yields a list that collects SIGINT and SIGTERM; a second SIGINT raises KeyboardInterrupt.

    Only the main thread can receive signals; elsewhere the list stays empty.
    """
    received: list[int] = []

    def on_signal(number: int, _frame: FrameType | None) -> None:
        received.append(number)
        # A second Ctrl-C must stop a step that hangs.
        signal.signal(signal.SIGINT, signal.default_int_handler)

    if threading.current_thread() is not threading.main_thread():
        yield received
        return
    before = {
        number: signal.signal(number, on_signal) for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
