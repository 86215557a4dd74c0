"""All loops train the same, and the clock counts the same steps."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.training import cases, our_loop, plain_loops
from benchmarks.training.cases import BATCH, CASES, EPOCHS, Case, Clock
from benchmarks.training.steps import Choices, Variant
from model.config import MlpConfig
from model.networks.vae import VAE

TINY = Case(MlpConfig(architecture="mlp", hidden=(4,)), 2, 2 * BATCH)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """One that watches every VAE until the test's end."""
    monkeypatch.setattr(VAE, "forward", VAE.forward)
    clock = Clock()
    clock.install(VAE)
    return clock


@pytest.mark.parametrize(
    "loop",
    [
        our_loop.ours,
        plain_loops.bare,
        plain_loops.bare_with_our_step,
        plain_loops.data_loader,
    ],
)
def test_every_loop_takes_a_rounds_steps(
    loop: object, clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A loop passes its network once for each step of three epochs."""
    assert callable(loop)
    images = cases.images(TINY.images)
    (tmp_path / "images").mkdir()
    our_loop.write_images(images, tmp_path / "images")

    loop(TINY, torch.from_numpy(images.transpose(0, 3, 1, 2).copy()), tmp_path)

    assert clock.passes == EPOCHS * TINY.steps
    taken = clock.taken(TINY.steps)
    assert taken.wall > 0
    assert taken.cpu > 0


def test_images_are_the_same_each_time() -> None:
    """Random grey levels of one seed, so that all loops see the same."""
    assert np.array_equal(cases.images(3), cases.images(3))
    assert cases.images(3).shape == (3, 28, 28, 1)


def test_networks_begin_alike() -> None:
    """Two loops train the same weights from the start, in either layout."""
    first = cases.build(CASES["tiny"])
    second = cases.build(CASES["tiny"], channels_last=False)

    torch.testing.assert_close(first.state_dict(), second.state_dict(), rtol=0, atol=0)


@pytest.mark.parametrize("choices", [Choices(), Choices(256, fused=True, bfloat16=True)])
def test_a_variant_trains(choices: Choices) -> None:
    """Whatever is chosen, a round changes the weights and takes time."""
    grey = torch.from_numpy(cases.images(256).transpose(0, 3, 1, 2).copy())
    variant = Variant(TINY, choices, grey)
    before = variant.weights()

    assert variant.round() > 0
    assert not torch.equal(variant.weights(), before)
