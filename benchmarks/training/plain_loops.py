"""The bare loop (forward, backward, step on tensors in memory), and one over a DataLoader."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor
from torch.nn.utils import clip_grad_norm_
from torch.utils.data import DataLoader, TensorDataset

from benchmarks.training import cases
from benchmarks.training.cases import BATCH, EPOCHS, Case

_CLIP_NORM = 200.0


def bare(case: Case, grey: Tensor, _folder: Path) -> None:
    """Runs one round over uint8 images [n, c, h, w]."""
    _bare(case, grey, ours=False)


def bare_with_our_step(case: Case, grey: Tensor, _folder: Path) -> None:
    """The same with our step, which clips the gradient and averages the weights."""
    _bare(case, grey, ours=True)


def _bare(case: Case, grey: Tensor, *, ours: bool) -> None:
    vae, averaged = cases.build(case), list(cases.build(case).parameters())
    weights = list(vae.parameters())
    optimiser = cases.optimiser(weights)
    for _ in range(EPOCHS):
        order = torch.randperm(len(grey))
        for rows in order.split(BATCH):  # type: ignore[no-untyped-call]
            optimiser.zero_grad()
            loss = cases.loss(vae, cases.binarised(grey[rows]))
            loss.backward()  # type: ignore[no-untyped-call]
            if ours:
                clip_grad_norm_(weights, _CLIP_NORM)
            optimiser.step()
            if ours:
                with torch.no_grad():
                    torch._foreach_lerp_(averaged, weights, 0.001)  # type: ignore[arg-type]


def data_loader(case: Case, grey: Tensor, _folder: Path) -> None:
    """The same over a DataLoader, which fetches single images and collates them."""
    vae = cases.build(case)
    optimiser = cases.optimiser(vae.parameters())
    loader = DataLoader(TensorDataset(grey), batch_size=BATCH, shuffle=True)
    for _ in range(EPOCHS):
        for (batch,) in loader:
            optimiser.zero_grad()
            loss = cases.loss(vae, cases.binarised(batch))
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
