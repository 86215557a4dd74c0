"""The effect of each choice on the cost of a step of the bare loop."""

from __future__ import annotations

import time
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from benchmarks.training import cases
from benchmarks.training.cases import Case
from training.fit.compute import compile_halves


@dataclass(frozen=True, slots=True)
class Choices:
    """The choices of a step; the defaults are torch's."""

    batch: int = 128
    fused: bool = False
    bfloat16: bool = False
    channels_last: bool = False
    compile: bool = False


VARIANTS = {
    "float32, batch 128": Choices(),
    "fused AdamW": Choices(fused=True),
    "batch 256": Choices(batch=256),
    "channels_last": Choices(channels_last=True),
    "bfloat16": Choices(bfloat16=True),
    "bfloat16, fused, batch 256": Choices(256, fused=True, bfloat16=True),
    "the same, channels_last": Choices(256, fused=True, bfloat16=True, channels_last=True),
    "the same, compiled": Choices(256, fused=True, bfloat16=True, channels_last=True, compile=True),
}
"""The others are compared with the first."""


class Variant:
    """A network trained with some choices."""

    def __init__(self, case: Case, choices: Choices, grey: Tensor) -> None:
        self._choices = choices
        self._grey = grey[: max(choices.batch, case.images // choices.batch * choices.batch)]
        self._vae = cases.build(case, channels_last=choices.channels_last)
        self._optimiser = cases.optimiser(self._vae.parameters(), fused=choices.fused)
        if choices.compile:
            compile_halves(self._vae)
        started = time.perf_counter()
        self._step(self._grey[: choices.batch])
        self.first_seconds = time.perf_counter() - started
        """Of the first step, which compiles a compiled network."""

    def round(self) -> float:
        """Trains on all images once; returns milliseconds of CPU time for 128 of them."""
        before = time.process_time()
        for rows in torch.randperm(len(self._grey)).split(self._choices.batch):  # type: ignore[no-untyped-call]
            self._step(self._grey[rows])
        return (time.process_time() - before) * 1000 / len(self._grey) * 128

    def weights(self) -> Tensor:
        """A copy of all weights in one vector."""
        return nn.utils.parameters_to_vector(self._vae.parameters()).detach().clone()

    def _step(self, grey: Tensor) -> None:
        bits = cases.binarised(grey)
        with torch.autocast("cpu", torch.bfloat16, enabled=self._choices.bfloat16):
            loss = cases.loss(self._vae, bits)
        self._optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimiser.step()
