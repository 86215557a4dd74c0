"""Images, noise and augmentation are functions of (seed, step)."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from model import pixels
from model.config import Binarisation
from model.pixels import Images
from training.config.data import AugmentConfig
from training.config.run import TrainingConfig
from training.data import minibatches
from training.data.minibatches import Draw, Minibatches, augment, generator, to_targets, to_tensor

CPU = torch.device("cpu")


def images(count: int) -> Images:
    """Images [count, 2, 3, 1], each of a grey level of its own."""
    return np.repeat(np.arange(count, dtype=np.uint8), 6).reshape(count, 2, 3, 1)


def batches(
    images: Images,
    batch_size: int = 4,
    seed: int = 0,
    binarise: Binarisation = "none",
) -> Minibatches:
    return Minibatches(images, batch_size=batch_size, seed=seed, binarise=binarise, device=CPU)


@given(count=st.integers(1, 40), batch_size=st.integers(1, 50), epoch=st.integers(0, 3))
def test_an_epoch_sees_every_image_once(count: int, batch_size: int, epoch: int) -> None:
    """Each epoch is a permutation of all images, the last minibatch being what is left."""
    source = batches(images(count), batch_size)
    steps = range(epoch * source.steps_per_epoch, (epoch + 1) * source.steps_per_epoch)

    seen = torch.cat([source[step][:, 0, 0, 0] for step in steps])

    assert sorted((seen * 255).round().int().tolist()) == list(range(count))


def test_order_and_noise_depend_on_seed_and_step_alone() -> None:
    """A step's images and noise are the same whatever was asked for before."""
    first, second = (
        batches(images(20), binarise="sample"),
        batches(images(20), binarise="sample"),
    )
    for step in range(7):
        _ = first[step]

    torch.testing.assert_close(first[7], second[7], rtol=0, atol=0)
    torch.testing.assert_close(first.noise(7, 4, (3,)), second.noise(7, 4, (3,)), rtol=0, atol=0)


def test_augmentation_depends_on_seed_and_step_alone() -> None:
    """A resumed run sees the same mirrored and shifted images; without augmentation none are."""
    images = np.random.default_rng(0).integers(0, 256, (20, 6, 5, 1), dtype=np.uint8)
    setting = AugmentConfig(flip=0.5, shift=1)
    make = partial(Minibatches, images, batch_size=4, seed=0, binarise="sample", device=CPU)
    first, resumed, plain = make(augmented=setting), make(augmented=setting), make()
    for step in range(7):
        _ = first[step]

    torch.testing.assert_close(first[7], resumed[7], rtol=0, atol=0)
    assert not torch.equal(first[7], plain[7])
    torch.testing.assert_close(make(augmented=AugmentConfig())[7], plain[7], rtol=0, atol=0)


def test_epochs_and_seeds_differ() -> None:
    """Order and noise change from epoch to epoch and from seed to seed."""
    source, other = batches(images(20), 20), batches(images(20), 20, seed=1)

    assert not torch.equal(source[0], source[1])
    assert not torch.equal(source[0], other[0])
    assert not torch.equal(source.noise(0, 4, (3,)), source.noise(1, 4, (3,)))
    assert not torch.equal(source.noise(0, 4, (3,)), other.noise(0, 4, (3,)))


def test_images_that_do_not_fit_are_read_as_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Minibatches are the same whether or not all images are on the device."""
    resident = batches(images(20), binarise="sample")
    monkeypatch.setattr(minibatches, "free_memory", lambda _: 0)
    streamed = batches(images(20), binarise="sample")

    for step in range(10):
        torch.testing.assert_close(streamed[step], resident[step], rtol=0, atol=0)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_set_larger_than_a_part_is_copied_whole(channels: int) -> None:
    """Images taken into memory part by part are all there, and the file is left alone."""
    images = np.random.default_rng(0).integers(0, 256, (2500, 2, 3, channels), dtype=np.uint8)
    images.setflags(write=False)

    source = batches(images, 2500)

    seen = (source[0] * 255).round().to(torch.uint8).reshape(2500, -1).tolist()
    expected = to_tensor(images).reshape(2500, -1).tolist()
    assert sorted(seen) == sorted(expected)


def test_targets_are_what_serving_would_make_of_the_images() -> None:
    """Layout, range and threshold are those of model/pixels.py."""
    images = np.random.default_rng(0).integers(0, 256, (3, 4, 5, 3), dtype=np.uint8)

    plain = to_targets(to_tensor(images), "none", 0, Draw.BINARISE)
    cut = to_targets(to_tensor(images), "threshold", 0, Draw.BINARISE)

    np.testing.assert_array_equal(plain.numpy(), pixels.to_float(images))
    expected = pixels.to_float(pixels.binarise(images, "threshold"))
    np.testing.assert_array_equal(cut.numpy(), expected)


def test_sampled_binarisation_has_the_grey_value_as_probability() -> None:
    """Black and white stay; grey is drawn anew at every step, with the right mean."""
    images = np.zeros((3, 100, 100, 1), dtype=np.uint8)
    images[1], images[2] = 255, 102

    first, second = (
        to_targets(to_tensor(images), "sample", 0, Draw.BINARISE, step) for step in (0, 1)
    )

    assert first[0].max() == 0
    assert first[1].min() == 1
    assert first[2].mean().item() == pytest.approx(0.4, abs=0.02)
    assert not torch.equal(first[2], second[2])


def test_draws_are_independent() -> None:
    """Generators for different purposes under one seed give different numbers."""
    values = {torch.rand(1, generator=generator(CPU, 0, draw, 0)).item() for draw in Draw}

    assert len(values) == len(Draw)


def noisy_images(count: int, height: int = 5, width: int = 6, channels: int = 2) -> torch.Tensor:
    """Noise [count, channels, height, width]."""
    rng = torch.Generator().manual_seed(0)
    shape = (count, channels, height, width)
    return torch.randint(0, 256, shape, generator=rng, dtype=torch.uint8)


def augmented(before: torch.Tensor, flip: float, shift: int, seed: int = 0) -> torch.Tensor:
    rng = torch.Generator().manual_seed(seed)
    return augment(before, AugmentConfig(flip=flip, shift=shift), rng)


def test_a_sure_flip_mirrors_every_image() -> None:
    """With probability 1 left and right change places, and nothing else does."""
    before = noisy_images(4)

    assert torch.equal(augmented(before, 1, 0), before.flip(3))


def test_nothing_set_changes_nothing() -> None:
    """Without a flip or a shift the images stay as they are."""
    before = noisy_images(4)

    assert torch.equal(augmented(before, 0, 0), before)


@given(shift=st.integers(1, 4), seed=st.integers(0, 100))
def test_a_shift_is_a_crop_of_the_padded_image(shift: int, seed: int) -> None:
    """Each image is one of the crops of itself with its edge repeated `shift` pixels outwards."""
    before = noisy_images(3)
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
    before = noisy_images(20)

    assert torch.equal(augmented(before, 0.5, 2), augmented(before, 0.5, 2))
    assert not torch.equal(augmented(before, 0.5, 2), augmented(before, 0.5, 2, seed=1))


def test_a_shift_out_of_the_image_is_refused() -> None:
    """A shift by the whole height or width leaves nothing to learn from."""
    with pytest.raises(ValueError, match=r"data\.augment\.shift must be below the image's 28 pix"):
        TrainingConfig.model_validate({"data": {"augment": {"shift": 28}}})
