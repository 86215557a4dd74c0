"""An exported graph is compared with its torch module."""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from model.runtime import Graph
from training.errors import ParityError
from training.export.graphs import to_onnx
from training.export.parity import PARITY_BATCHES, check_parity

OUTPUTS = ("double", "half")


class Halves(nn.Module):
    """Answers one can work out in one's head."""

    def forward(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        return rows * 2, rows / 2


class Wrong(Halves):
    """The same with one output off."""

    def forward(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        return rows * 2, rows / 2 + 0.01


class Wider(Halves):
    """The same with one output of another shape."""

    def forward(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        return rows * 2, torch.cat([rows, rows], 1) / 2


def rows(count: int = 64) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    return np.random.default_rng(0).standard_normal((count, 3), dtype=np.float32)


@functools.cache
def halves() -> Graph:
    """Exported once for all tests, as an export takes seconds."""
    return Graph(to_onnx(Halves(), rows(2), "rows", OUTPUTS))


def test_parity_holds_for_the_right_module() -> None:
    """A graph equals its module at every batch size, with and without a remainder."""
    report = check_parity(Halves(), halves(), rows())

    assert report["largest_difference"] == {"double": 0.0, "half": 0.0}
    assert 64 in PARITY_BATCHES
    assert any(64 % size for size in PARITY_BATCHES)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (Wrong, r"half: the graph differs from torch by 0\.01"),
        (Wider, r"half: the graph has the shape \(64, 3\), torch has \(64, 6\), .* at batch 1"),
    ],
)
def test_parity_fails_for_another_module(other: Callable[[], nn.Module], message: str) -> None:
    """A graph that computes something else is refused, with output, difference and batch size."""
    with pytest.raises(ParityError, match=message):
        check_parity(other(), halves(), rows())
