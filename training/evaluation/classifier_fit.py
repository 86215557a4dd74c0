"""Trains the classifier that samples are measured with: `python -m
training.evaluation.classifier_fit`.

It was run once. Its weights stay fixed, because metrics of other weights are not comparable. Six
epochs of AdamW over the 60,000 training images of MNIST, each minibatch shifted by up to two
pixels, take a minute or two on two cores. The test images only tell its accuracy.
"""

from __future__ import annotations

import argparse
import hashlib
import math
import sys
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save
from torch import Tensor
from torch.nn.functional import cross_entropy, pad

from model.config import ModelConfig
from training.config.data import DataConfig
from training.config.run import TrainingConfig
from training.data.dataset import Split, load_data
from training.data.memmap import ImageRows
from training.data.minibatches import to_tensor
from training.errors import DataError, TrainingError
from training.evaluation.mnist_classifier import SIZE, WEIGHTS, Classifier, features
from training.workdir import write_bytes

EPOCHS = 6
BATCH_SIZE = 128
LEARNING_RATE = 2e-3
SHIFT = 2
"""Pixels by which a minibatch is moved at most, along either axis."""
SEED = 0


def fit_classifier(train: Split, *, epochs: int = EPOCHS, seed: int = SEED) -> Classifier:
    """Trains on grey 28×28 images with labels 0 … 9; on the CPU, in float32.

    Raises:
        DataError: the images have no labels.
    """
    if train.labels is None:
        raise DataError("the images have no labels, which the classifier needs")
    torch.manual_seed(seed)
    rng = np.random.Generator(np.random.PCG64(seed))
    classifier = Classifier().train()
    optimiser = torch.optim.AdamW(classifier.parameters(), lr=LEARNING_RATE)
    images, labels = to_tensor(np.asarray(train.images)), torch.from_numpy(train.labels)
    steps = epochs * math.ceil(len(images) / BATCH_SIZE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    for _ in range(epochs):
        order = torch.from_numpy(rng.permutation(len(images)))
        for start in range(0, len(order), BATCH_SIZE):
            rows = order[start : start + BATCH_SIZE]
            shown = shifted(images[rows].float() / 255, rng.integers(-SHIFT, SHIFT + 1, 2))
            loss = cross_entropy(classifier(shown), labels[rows])
            optimiser.zero_grad(set_to_none=True)
            torch.autograd.backward(loss)
            optimiser.step()
            schedule.step()
    return classifier.eval()


def shifted(images: Tensor, by: NDArray[np.int64]) -> Tensor:
    """[n, c, h, w] moved down and right by as many pixels, black coming in."""
    down, right = (int(pixels) for pixels in by)
    return pad(images, (right, -right, down, -down))


@torch.no_grad()
def accuracy(classifier: Classifier, images: ImageRows, labels: NDArray[np.int64]) -> float:
    """The share of images uint8 [n, 28, 28, 1] whose label is found."""
    logits = classifier.output(torch.from_numpy(features(classifier, images)).float())
    return float((logits.argmax(dim=1).numpy() == labels).mean())


def weights_of(classifier: Classifier) -> bytes:
    """Its weights in float16, as safetensors."""
    tensors = {name: tensor.half() for name, tensor in classifier.state_dict().items()}
    return bytes(save(tensors))


def main() -> int:
    """Writes the weights, and prints their SHA-256 and the accuracy."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default="ylecun/mnist", help="hub name, or folder of images")
    parser.add_argument("--output", type=Path, default=Path(WEIGHTS))
    options = parser.parse_args()
    config = TrainingConfig(
        model=ModelConfig(channels=1, height=SIZE, width=SIZE), data=DataConfig(source=options.data)
    )
    try:
        data = load_data(config)
        classifier = fit_classifier(data.train)
        content = weights_of(classifier)
        write_bytes(options.output, content)
    except TrainingError as error:
        print(error, file=sys.stderr)  # noqa: T201
        return error.exit_code
    # As they will be read: rounded to float16.
    classifier.load_state_dict({k: v.half().float() for k, v in classifier.state_dict().items()})
    if data.test.labels is not None:
        right = accuracy(classifier, data.test.images, data.test.labels)
        print(f"accuracy on {len(data.test)} test images: {right:.2%}")  # noqa: T201
    print(f"SHA-256 of {options.output}: {hashlib.sha256(content).hexdigest()}")  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
