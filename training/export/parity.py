"""Compares an exported graph with the torch module that it was made from."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from model.bundle.golden import compare, size_of
from model.pixels import Floats
from model.runtime import Graph
from training.errors import ParityError

PARITY_BATCHES = (1, 2, 7, 64)
PARITY_LIMIT = 1e-4
"""Largest difference between torch and onnxruntime, as a part of the output's largest value."""


def check_parity(
    module: nn.Module, graph: Graph, rows: Floats, batches: Sequence[int] = PARITY_BATCHES
) -> dict[str, object]:
    """Compares torch with onnxruntime at several batch sizes, and the sizes with each other.

    Returns:
        The largest absolute difference by output, and whether a row's result has the same bits
        at every batch size.

    Raises:
        ParityError: a difference above `PARITY_LIMIT`, or another shape.
    """
    names = [name for name, _, _ in graph.outputs]
    with torch.no_grad():
        expected = [output.numpy() for output in module(torch.from_numpy(rows))]
    whole = graph.run(rows)
    differences = dict.fromkeys(names, 0.0)
    equal_bits = True
    for size in batches:
        parts = [graph.run(rows[start : start + size]) for start in range(0, len(rows), size)]
        for name, want, got, reference in zip(
            names, expected, map(np.concatenate, zip(*parts, strict=True)), whole, strict=True
        ):
            try:
                difference = compare(got, want, PARITY_LIMIT * size_of(want), "torch")
            except ValueError as error:
                msg = f"{name}: the graph {error}, for {rows.shape} at batch {size}"
                raise ParityError(msg) from error
            differences[name] = max(differences[name], difference)
            equal_bits = equal_bits and np.array_equal(got, reference)
    return {"largest_difference": differences, "equal_bits_at_all_batch_sizes": equal_bits}
