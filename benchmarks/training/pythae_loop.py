"""pythae's BaseTrainer with its defaults, over the same network."""

from __future__ import annotations

from pathlib import Path

from pythae.data.datasets import DatasetOutput
from pythae.models.base import BaseAE, BaseAEConfig
from pythae.models.base.base_utils import ModelOutput
from pythae.models.nn import BaseDecoder
from pythae.trainers import BaseTrainer, BaseTrainerConfig
from torch import Tensor
from torch.utils.data import Dataset

from benchmarks.training import cases
from benchmarks.training.cases import BATCH, BETAS, EPOCHS, LEARNING_RATE, Case


class Images(Dataset[DatasetOutput]):
    """uint8 images; pythae's own data set would convert them to float32."""

    def __init__(self, grey: Tensor) -> None:
        self._grey = grey

    def __len__(self) -> int:
        return len(self._grey)

    def __getitem__(self, row: int) -> DatasetOutput:
        return DatasetOutput(data=self._grey[row])


class Model(BaseAE):
    """The VAE as a pythae model; it binarises in its forward pass, because pythae has no hook."""

    def __init__(self, case: Case) -> None:
        config = BaseAEConfig(input_dim=(1, 28, 28), latent_dim=case.latent_dim)
        super().__init__(config, decoder=BaseDecoder())
        self.model_name = "VAE"
        self.vae = cases.build(case)

    def forward(self, inputs: DatasetOutput, **_: object) -> ModelOutput:
        """The loss of a batch."""
        return ModelOutput(loss=cases.loss(self.vae, cases.binarised(inputs["data"])))


def pythae(case: Case, grey: Tensor, folder: Path) -> None:
    """Runs one round."""
    config = BaseTrainerConfig(
        output_dir=str(folder / "pythae"),
        num_epochs=EPOCHS,
        per_device_train_batch_size=BATCH,
        learning_rate=LEARNING_RATE,
        optimizer_cls="AdamW",
        optimizer_params={"betas": list(BETAS), "fused": True},
        no_cuda=True,
    )
    BaseTrainer(Model(case), Images(grey), training_config=config).train()
