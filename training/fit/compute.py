"""What a run computes on: device, threads, precision; and which versions of what."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from contextlib import AbstractContextManager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import torch

from model.cores import available_cores
from model.networks.vae import VAE
from training.config.run import TrainingConfig
from training.errors import ConfigError

_NATIVE_BFLOAT16 = frozenset({"avx512_bf16", "amx_bf16", "bf16"})
_CPUINFO = Path("/proc/cpuinfo")
_LAUNCHED = ("WORLD_SIZE", "PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE")
"""Where torchrun and the launchers of MPI tell a process how many there are of it."""
_TOOLS = ("torch", "datasets", "numpy", "onnx", "onnxscript", "onnxruntime", "pillow")


@dataclass(frozen=True)
class Compute:
    """The choices of one run."""

    device: torch.device
    bfloat16: bool
    threads: int
    compile: bool

    @property
    def precision(self) -> str:
        """What networks compute in; losses are float32 always."""
        return "bfloat16" if self.bfloat16 else "float32"

    def autocast(self) -> AbstractContextManager[None]:
        """Mixed precision where this run uses it."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.bfloat16)

    def compile_networks(self, vae: VAE) -> None:
        """Compiles encoder and decoder, where this run compiles."""
        if self.compile:
            compile_halves(vae)


def compile_halves(vae: VAE) -> None:
    """Lets encoder and decoder run as compiled programs from now on.

    Each is a program of its own, so that the latents stand between two of them: a hook on what
    one program yields does not see the gradient inside it, and the importance-weighted
    objective needs one there (`elbo.doubly_reparameterized`).
    """
    for network in (vae.encoder, vae.decoder):
        # A program for each shape: one for all of them would come to be when the second shape
        # does, and a resumed run, where that is earlier or later, would not have the same bits.
        network.compile(dynamic=False)


def choose_compute(config: TrainingConfig) -> Compute:
    """Settles device, threads and precision, and sets torch's threads.

    Raises:
        ConfigError: CUDA was asked for and is not there, several processes were launched, or
            there is no compiler for `compile`.
    """
    if config.device == "cuda" and not torch.cuda.is_available():
        msg = "device = cuda: torch finds no CUDA device here; take device = auto or cpu"
        raise ConfigError(msg)
    processes = max(int(os.environ.get(name, "1")) for name in _LAUNCHED)
    if processes > 1:
        msg = f"one process trains one model; {processes} were launched"
        raise ConfigError(msg)
    cpu = config.device == "cpu" or not torch.cuda.is_available()
    device = torch.device("cpu" if cpu else "cuda")
    threads = use_threads(config.threads)
    # Same run, same bits: cuDNN would otherwise choose among algorithms by timing them.
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.benchmark = False
    bfloat16 = config.precision == "bfloat16" or (
        config.precision == "auto" and has_native_bfloat16(device)
    )
    if config.compile:
        _require_compiler()
    return Compute(device, bfloat16, threads, config.compile)


def _require_compiler() -> None:
    # As torch's inductor looks for it; found missing there, it would be after minutes of loading.
    wanted = os.environ.get("CXX", "clang++" if sys.platform == "darwin" else "g++")
    if shutil.which(wanted) is None:
        msg = (
            f"compile = true needs a C++ compiler, and {wanted} is not there: install one "
            "(on Debian and Ubuntu g++), name one in CXX, or set compile = false"
        )
        raise ConfigError(msg)


def use_threads(wanted: int) -> int:
    """Sets torch's CPU threads (0: every core this process may use) and returns their number."""
    threads = wanted or available_cores()
    torch.set_num_threads(threads)
    return threads


def has_native_bfloat16(device: torch.device) -> bool:
    """Whether the device multiplies bfloat16 in hardware; emulated, it is slower than float32."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return not _NATIVE_BFLOAT16.isdisjoint(_cpuinfo("flags", "features").split())


def describe_machine(device: torch.device) -> dict[str, object]:
    """What a run's speed depends on; nothing that tells one machine from another of its kind."""
    accelerator = torch.cuda.get_device_name(device) if device.type == "cuda" else None
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "processor": _cpuinfo("model name") or platform.processor() or None,
        "cores": available_cores(),
        "accelerator": accelerator,
    }


def _cpuinfo(*names: str) -> str:
    """The first entry under one of these names, or nothing."""
    try:
        lines = _CPUINFO.read_text("utf-8").splitlines()
    except OSError:
        return ""
    line = next((line for line in lines if line.lower().startswith(names)), "")
    return line.partition(":")[2].strip()


def tool_versions() -> dict[str, str]:
    """Versions of Python and of the libraries that shape a trained model."""
    return {"python": platform.python_version()} | {name: metadata.version(name) for name in _TOOLS}
