"""Device, threads and precision of a run, and the versions of its libraries."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
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
"""Variables in which torchrun and MPI launchers store the number of processes."""
_TOOLS = ("torch", "datasets", "numpy", "onnx", "onnxscript", "onnxruntime", "pillow")


@dataclass(frozen=True)
class Compute:
    """What one run computes on."""

    device: torch.device
    bfloat16: bool
    threads: int
    compile: bool

    @property
    def precision(self) -> str:
        """The number type of the networks; losses are always float32."""
        return "bfloat16" if self.bfloat16 else "float32"

    def autocast(self) -> AbstractContextManager[None]:
        """A context with mixed precision, if this run uses it."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.bfloat16)


def compile_halves(vae: VAE) -> None:
    """Compiles encoder and decoder with torch.compile.

    They are compiled separately, so that the latents pass from one program to the other: the
    importance-weighted objective needs a gradient hook on them (`elbo.doubly_reparameterized`),
    which can't see inside a compiled program.
    """
    for network in (vae.encoder, vae.decoder):
        # One program for each shape. A dynamic program would be compiled at the second shape, which
        # a resumed run meets at another step, so its bits would differ.
        network.compile(dynamic=False)


def choose_compute(config: TrainingConfig) -> Compute:
    """Chooses device, threads and precision, and sets torch's threads.

    Raises:
        ConfigError: CUDA is set and missing, several processes were launched, or `compile` is set
            and a compiler is missing.
    """
    if config.device == "cuda" and not torch.cuda.is_available():
        msg = "device = cuda: torch finds no CUDA device here; set device = auto or cpu"
        raise ConfigError(msg)
    processes = max(int(os.environ.get(name, "1")) for name in _LAUNCHED)
    if processes > 1:
        raise ConfigError(f"training uses one process, and {processes} were launched; launch one")
    cpu = config.device == "cpu" or not torch.cuda.is_available()
    device = torch.device("cpu" if cpu else "cuda")
    threads = use_threads(config.threads)
    # cuDNN would otherwise choose algorithms by timing them, and runs would differ in their bits.
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.benchmark = False
    bfloat16 = config.precision == "bfloat16" or (
        config.precision == "auto" and has_native_bfloat16(device)
    )
    # torch's inductor looks for the same compiler, but reports a missing one only minutes later.
    compiler = os.environ.get("CXX", "clang++" if sys.platform == "darwin" else "g++")
    if config.compile and shutil.which(compiler) is None:
        raise ConfigError(
            f"compile = true needs a C++ compiler, and {compiler} is missing: install one "
            "(g++ on Debian and Ubuntu), name one in CXX, or set compile = false"
        )
    return Compute(device, bfloat16, threads, config.compile)


@contextmanager
def explain_memory_errors(config: TrainingConfig) -> Iterator[None]:
    """Turns a failed allocation into an error that names the settings to lower.

    Raises:
        ConfigError: memory ran out inside the block.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        # torch raises a plain RuntimeError when an allocation fails on the CPU.
        failed = isinstance(error, MemoryError | torch.OutOfMemoryError)
        if not failed and "allocate memory" not in str(error):
            raise
        raise ConfigError(
            f"this run does not fit into memory: lower batch_size (it is {config.batch_size}), "
            "model.height and model.width, or the sizes in model.network"
        ) from error


def use_threads(wanted: int) -> int:
    """Sets torch's CPU threads (0: every core this process may use) and returns their number."""
    threads = wanted or available_cores()
    torch.set_num_threads(threads)
    return threads


def has_native_bfloat16(device: torch.device) -> bool:
    """Whether the device has bfloat16 in hardware; emulation is slower than float32."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return not _NATIVE_BFLOAT16.isdisjoint(_cpuinfo("flags", "features").split())


def describe_machine(device: torch.device) -> dict[str, object]:
    """The hardware that determines a run's speed, without anything that identifies the machine."""
    accelerator = torch.cuda.get_device_name(device) if device.type == "cuda" else None
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "processor": _cpuinfo("model name") or platform.processor() or None,
        "cores": available_cores(),
        "accelerator": accelerator,
    }


def _cpuinfo(*names: str) -> str:
    """The first entry with one of these names, or an empty string."""
    try:
        lines = _CPUINFO.read_text("utf-8").splitlines()
    except OSError:
        return ""
    line = next((line for line in lines if line.lower().startswith(names)), "")
    return line.partition(":")[2].strip()


def tool_versions() -> dict[str, str]:
    """Versions of Python and of the libraries that shape a trained model."""
    return {"python": platform.python_version()} | {name: metadata.version(name) for name in _TOOLS}
