"""The classifier in whose features images of digits are compared: fixed weights of this package.

Distances between features mean something only under one classifier, so its weights are part of the
code: `weights/mnist-classifier.safetensors`, trained by `python -m
training.evaluation.classifier_fit`, and refused unless their SHA-256 is `SHA256`.
"""

from __future__ import annotations

import hashlib
from importlib import resources

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load
from torch import Tensor, nn

from model.pixels import to_float
from training.data.memmap import ImageRows
from training.errors import StageError

WEIGHTS = "mnist-classifier.safetensors"
SHA256 = "3406d7b794addf6439eb4bdc465222071908b8212e6087fea7028aa7b66dc32b"
"""Of the file of weights."""

FEATURES = 128
CLASSES = 10
SIZE = 28
"""Height and width of the images, which are grey."""

Features = NDArray[np.float64]
"""[n, `FEATURES`]."""

_BATCH = 500


class Classifier(nn.Module):
    """Three convolutions and a hidden layer, whose rectified output are the features."""

    def __init__(self) -> None:
        super().__init__()
        self.convolutions = nn.Sequential(
            nn.Conv2d(1, 32, 5, stride=2, padding=2),
            nn.ReLU(),
            nn.Conv2d(32, 64, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(64, 64, 3, padding=1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Dropout(0.3),
        )
        self.hidden = nn.Linear(64 * (SIZE // 4) ** 2, FEATURES)
        self.output = nn.Linear(FEATURES, CLASSES)

    def features(self, images: Tensor) -> Tensor:
        """float32 [n, 1, 28, 28] in [0, 1] → float32 [n, 128], non-negative."""
        hidden: Tensor = self.hidden(self.convolutions(images))
        return hidden.relu()

    def forward(self, images: Tensor) -> Tensor:
        """float32 [n, 1, 28, 28] in [0, 1] → logits of the digits [n, 10]."""
        logits: Tensor = self.output(self.features(images))
        return logits


def read_classifier(content: bytes | None = None) -> Classifier:
    """The classifier with its fixed weights; `content` in place of the package's own file.

    Raises:
        StageError: the file is missing, or its hash is not the expected one.
    """
    try:
        stored = content or (resources.files("training") / "weights" / WEIGHTS).read_bytes()
    except OSError as error:
        msg = f"weights/{WEIGHTS}: {error.strerror or error}; reinstall the package"
        raise StageError(msg) from error
    found = hashlib.sha256(stored).hexdigest()
    if found != SHA256:
        raise StageError(
            f"weights/{WEIGHTS}: its SHA-256 is {found}, but distances are only comparable under "
            f"{SHA256}; reinstall the package"
        )
    classifier = Classifier().eval()
    classifier.load_state_dict({name: tensor.float() for name, tensor in load(stored).items()})
    return classifier


@torch.no_grad()
def features(classifier: Classifier, images: ImageRows) -> Features:
    """Images uint8 [n, 28, 28, 1] → features [n, 128], computed in float32."""
    starts = range(0, len(images), _BATCH)
    parts = [
        classifier.features(torch.from_numpy(to_float(np.asarray(images[start : start + _BATCH]))))
        for start in starts
    ]
    return torch.cat(parts).double().numpy()
