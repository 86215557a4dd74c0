"""A small `AutoencoderKL` with random weights, saved by diffusers. Imports torch only when used."""

from __future__ import annotations

from pathlib import Path
from typing import Any

FACTOR = 2
SCALING, SHIFT = 0.5, 0.125
NAME = "kl"


def save(folder: Path, **changes: Any) -> Path:
    """Saves the model with seeded weights; `changes` replace members of its configuration."""
    import torch
    from diffusers import AutoencoderKL

    config: dict[str, Any] = {
        "block_out_channels": (8, 16),
        "down_block_types": ("DownEncoderBlock2D",) * 2,
        "up_block_types": ("UpDecoderBlock2D",) * 2,
        "latent_channels": 4,
        "norm_num_groups": 4,
        "layers_per_block": 1,
        "sample_size": 32,
        "scaling_factor": SCALING,
        "shift_factor": SHIFT,
    }
    with torch.random.fork_rng():
        torch.manual_seed(0)
        AutoencoderKL(**config | changes).save_pretrained(folder)
    return folder


def load(folder: Path) -> Any:
    """Loads the saved model in torch, for comparison."""
    from diffusers import AutoencoderKL

    return AutoencoderKL.from_pretrained(folder, low_cpu_mem_usage=False).eval()
