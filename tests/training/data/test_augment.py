"""Mirrored and shifted images, by the generator alone."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from training.config.data import AugmentConfig
from training.config.run import TrainingConfig
from training.data.minibatches import augment


def images(count: int, height: int = 5, width: int = 6, channels: int = 2) -> torch.Tensor:
    """Noise [count, channels, height, width]."""
    rng = torch.Generator().manual_seed(0)
    shape = (count, channels, height, width)
    return torch.randint(0, 256, shape, generator=rng, dtype=torch.uint8)


def augmented(before: torch.Tensor, flip: float, shift: int, seed: int = 0) -> torch.Tensor:
    rng = torch.Generator().manual_seed(seed)
    return augment(before, AugmentConfig(flip=flip, shift=shift), rng)


def test_a_sure_flip_mirrors_every_image() -> None:
    """With probability 1 left and right change places, and nothing else does."""
    before = images(4)

    assert torch.equal(augmented(before, 1, 0), before.flip(3))


def test_nothing_set_changes_nothing() -> None:
    """Without a flip or a shift the images stay as they are."""
    before = images(4)

    assert torch.equal(augmented(before, 0, 0), before)


@given(shift=st.integers(1, 4), seed=st.integers(0, 100))
def test_a_shift_is_a_crop_of_the_padded_image(shift: int, seed: int) -> None:
    """Each image is one of the crops of itself with its edge repeated `shift` pixels outwards."""
    before = images(3)
    after = augmented(before, 0, shift, seed)

    padded = torch.nn.functional.pad(before.float(), (shift,) * 4, mode="replicate").byte()
    steps = range(2 * shift + 1)
    for image, wide in zip(after, padded, strict=True):
        crops = [wide[:, y : y + 5, x : x + 6] for y in steps for x in steps]
        assert any(torch.equal(image, crop) for crop in crops)


def test_half_of_many_are_mirrored_and_all_shifts_happen() -> None:
    """Flips have their probability; shifts reach every offset and differ between images."""
    ramp = torch.arange(20, dtype=torch.uint8).expand(4000, 1, 3, 20)
    after = augmented(ramp, 0.5, 2)

    rising = after[:, 0, 0, 9] < after[:, 0, 0, 10]
    offsets = after[rising, 0, 0, 9].int() - 9
    assert 0.46 < rising.float().mean() < 0.54
    assert set(offsets.tolist()) == {-2, -1, 0, 1, 2}


def test_the_generator_decides() -> None:
    """The same seed gives the same images, and another one others."""
    before = images(20)

    assert torch.equal(augmented(before, 0.5, 2), augmented(before, 0.5, 2))
    assert not torch.equal(augmented(before, 0.5, 2), augmented(before, 0.5, 2, seed=1))


def test_a_shift_out_of_the_image_is_refused() -> None:
    """A shift by the whole height or width leaves nothing to learn from."""
    with pytest.raises(ValueError, match=r"data\.augment\.shift must be below the image's 28 pix"):
        TrainingConfig.model_validate({"data": {"augment": {"shift": 28}}})
