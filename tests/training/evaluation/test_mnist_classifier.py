"""Fixed weights, which read digits."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.training import runs
from training.data.dataset import Split, load_data
from training.errors import DataError, StageError
from training.evaluation import classifier_fit
from training.evaluation.classifier_fit import accuracy, fit_classifier, shifted, weights_of
from training.evaluation.mnist_classifier import FEATURES, SHA256, features, read_classifier

TRAINED_ACCURACY = 0.9925


def digits(tmp_path: Path) -> Split:
    return load_data(runs.config(tmp_path)).test


def test_the_fixed_weights_read_digits(tmp_path: Path) -> None:
    """On the test images of the suite they are about as good as on all of MNIST's."""
    test = digits(tmp_path)
    assert test.labels is not None

    right = accuracy(read_classifier(), test.images, test.labels)

    assert right == pytest.approx(TRAINED_ACCURACY, abs=0.02)


def test_other_weights_are_refused() -> None:
    """Distances compare under one classifier alone, so another file is an error with its hash."""
    other = weights_of(read_classifier())[:-1] + b"\x01"

    with pytest.raises(StageError, match=f"SHA-256 is {hashlib.sha256(other).hexdigest()}"):
        read_classifier(other)
    assert hashlib.sha256(weights_of(read_classifier())).hexdigest() == SHA256


def test_features_do_not_depend_on_what_is_measured_beside_them(tmp_path: Path) -> None:
    """An image has the same features in any batch: 128, none of them negative."""
    images, classifier = digits(tmp_path).images, read_classifier()

    together = features(classifier, images)

    assert together.shape == (len(images), FEATURES)
    assert together.dtype == np.float64
    assert together.min() >= 0
    np.testing.assert_allclose(features(classifier, images[3:4])[0], together[3], atol=1e-4)


def test_training_learns_and_is_repeatable(tmp_path: Path) -> None:
    """A few epochs on some hundred digits read most others, and come out the same again."""
    data = load_data(runs.config(tmp_path))
    assert data.test.labels is not None

    first, again = (fit_classifier(data.train, epochs=6, seed=3) for _ in range(2))

    assert accuracy(first, data.test.images, data.test.labels) > 0.5
    assert weights_of(first) == weights_of(again)


def test_images_are_moved_and_black_comes_in() -> None:
    """Down and right by as many pixels as said, up and left by negative ones."""
    image = torch.arange(1.0, 10.0).reshape(1, 1, 3, 3)

    moved = shifted(image, np.array([1, -1]))

    assert moved[0, 0].tolist() == [[0, 0, 0], [2, 3, 0], [5, 6, 0]]


def test_images_without_labels_are_refused(tmp_path: Path) -> None:
    """A classifier learns from labels, so their absence is said before training."""
    with pytest.raises(DataError, match="no labels"):
        fit_classifier(Split(digits(tmp_path).images, None))


def test_the_command_writes_the_weights_and_their_hash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It says how good they are, and the hash that the code is to have."""
    written = tmp_path / "weights.safetensors"
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(classifier_fit, "BATCH_SIZE", 400)
    command = ["classifier_fit", "--data", str(runs.MNIST), "--output", str(written)]
    monkeypatch.setattr(sys, "argv", command)

    assert classifier_fit.main() == 0

    told = capsys.readouterr().out
    assert hashlib.sha256(written.read_bytes()).hexdigest() in told
    assert "accuracy on " in told
