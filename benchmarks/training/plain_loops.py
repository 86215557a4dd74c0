"""The bare loop (forward, backward, step on tensors in memory), and one over a DataLoader."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

from benchmarks.training import cases
from benchmarks.training.cases import BATCH, EPOCHS, Case


def bare(case: Case, grey: Tensor, _folder: Path) -> None:
    """One round over uint8 pictures [n, c, h, w]."""
    vae = cases.build(case)
    optimiser = cases.optimiser(vae.parameters())
    for _ in range(EPOCHS):
        order = torch.randperm(len(grey))
        for rows in order.split(BATCH):  # type: ignore[no-untyped-call]
            optimiser.zero_grad()
            loss = cases.loss(vae, vae, cases.binarised(grey[rows]))
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()


def data_loader(case: Case, grey: Tensor, _folder: Path) -> None:
    """The same, each picture taken by itself and collated, as a DataLoader does."""
    vae = cases.build(case)
    optimiser = cases.optimiser(vae.parameters())
    loader = DataLoader(TensorDataset(grey), batch_size=BATCH, shuffle=True)
    for _ in range(EPOCHS):
        for (batch,) in loader:
            optimiser.zero_grad()
            loss = cases.loss(vae, vae, cases.binarised(batch))
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
