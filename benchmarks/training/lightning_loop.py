"""Lightning's Trainer, with its defaults and a logged loss, and with all features off."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import lightning
import torch
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

from benchmarks.training import cases
from benchmarks.training.cases import BATCH, EPOCHS, Case


class Module(lightning.LightningModule):
    """The VAE as a Lightning module."""

    def __init__(self, case: Case, *, logs: bool) -> None:
        super().__init__()
        self.vae = cases.build(case)
        self._logs = logs

    def training_step(self, batch: list[Tensor], _number: int) -> Tensor:
        """The loss of a batch of uint8 images."""
        loss = cases.loss(self.vae, cases.binarised(batch[0]))
        if self._logs:
            self.log("loss", loss)
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """The optimiser of all loops."""
        return cases.optimiser(self.parameters())


def defaults(case: Case, grey: Tensor, folder: Path) -> None:
    """Runs one round with the default logger, progress bar, summary and checkpoints."""
    _round(case, grey, {"default_root_dir": str(folder)}, logs=True)


def stripped(case: Case, grey: Tensor, _folder: Path) -> None:
    """Runs one round in Lightning's `barebones` mode."""
    _round(case, grey, {"barebones": True}, logs=False)


def _round(case: Case, grey: Tensor, options: dict[str, Any], *, logs: bool) -> None:
    warnings.simplefilter("ignore")
    loader = DataLoader(TensorDataset(grey), batch_size=BATCH, shuffle=True)
    trainer = lightning.Trainer(accelerator="cpu", devices=1, max_epochs=EPOCHS, **options)
    trainer.fit(Module(case, logs=logs), loader)
