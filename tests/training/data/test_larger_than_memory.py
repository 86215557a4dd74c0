"""A set larger than memory is decoded, divided and read without ever being in memory."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.training import runs

ALLOWED = 64 * 2**20
SIZE, COUNT = 256, 640
"""Decoded, the images take 120 MiB."""

UNDER_A_LIMIT = f"""
import resource, sys, threading
import torch
from training.data import decoded_cache
from training.fit.fit import Trainer
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
