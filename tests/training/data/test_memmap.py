"""Rows of a file that stay there until they are read."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from model.pixels import Images
from tests.training import runs
from training.data.memmap import MappedImages


@pytest.fixture
def whole(tmp_path: Path) -> Images:
    """Ten images [2, 3, 1], mapped from a file."""
    images = np.arange(60, dtype=np.uint8).reshape(10, 2, 3, 1)
    np.save(tmp_path / "images.npy", images)
    mapped: Images = np.load(tmp_path / "images.npy", mmap_mode="r")
    return mapped


@pytest.mark.parametrize("rows", [None, np.array([7, 0, 3, 9])])
def test_it_reads_like_an_array(whole: Images, rows: NDArray[np.int64] | None) -> None:
    """Length, shape, size, slices, row numbers and the whole are those of the rows in memory."""
    images = MappedImages(whole, rows)
    expected = np.array(whole) if rows is None else np.array(whole)[rows]

    assert len(images) == len(expected)
    assert images.shape == expected.shape
    assert images.nbytes == expected.nbytes
    for index in (slice(0, 2), slice(3, 99), slice(None), np.array([3, 1, 1])):
        np.testing.assert_array_equal(images[index], expected[index])
    np.testing.assert_array_equal(np.asarray(images), expected)


def test_all_rows_are_a_view(whole: Images) -> None:
    """A slice of a whole file copies nothing."""
    assert np.shares_memory(MappedImages(whole)[2:5], whole)


ALLOWED = 64 * 2**20
SIZE, COUNT = 256, 640
"""Decoded, the images take 120 MiB."""

UNDER_A_LIMIT = f"""
import resource, sys, threading
import torch
from training.data import decoded_cache
from training.fit.trainer import Trainer
from training.config.presets import read_config
from training.data.dataset import load_data
from training.data.minibatches import Minibatches
torch.set_num_threads(1)
config = read_config(sys.argv[1], sys.argv[2:])
import datasets
threading.stack_size(2**18)
lines = open("/proc/self/status").read().splitlines()
used = next(int(line.split()[1]) for line in lines if line.startswith("VmData"))
limit = used * 1024 + {ALLOWED}
resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
data = load_data(config)
batches = Minibatches(
    data.train.images, batch_size=8, seed=0, binarise="none", device=torch.device("cpu")
)
seen = sum(len(batches[step]) for step in range(batches.steps_per_epoch))
print(len(data.train), len(data.validation), len(data.test), seen)
"""


def test_a_set_larger_than_memory(tmp_path: Path) -> None:
    """In a process that may take 64 MiB more, 120 MiB of images are decoded, divided into three
    splits and all seen in minibatches."""
    folder = runs.write_images(tmp_path / "pictures", COUNT, size=(8, 8))
    arguments = [
        f"data.source={folder}", f"data.cache={tmp_path / 'cache'}",
        f"model={{channels=3, height={SIZE}, width={SIZE}}}",
        "data.test_share=0.3", "data.validation_share=0.3",
    ]  # fmt: skip
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "1"}

    done = subprocess.run(
        [sys.executable, "-c", UNDER_A_LIMIT, str(runs.preset(tmp_path)), *arguments],
        cwd=runs.ROOT, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    train, validation, test, seen = map(int, done.stdout.split())
    assert train + validation + test == COUNT
    assert min(validation, test) > COUNT / 10
    assert seen == train
