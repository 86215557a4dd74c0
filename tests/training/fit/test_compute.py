"""Threads, device and precision are chosen openly."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch._dynamo import lookup_backend
from torch.fx import GraphModule

from model.config import BernoulliConfig, MlpConfig, ModelConfig
from model.cores import available_cores
from model.networks.vae import VAE
from training.config.run import TrainingConfig
from training.config.sections import ObjectiveConfig
from training.errors import ConfigError
from training.fit import compute, objective
from training.fit.compute import choose_compute, has_native_bfloat16, use_threads

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def _threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def test_threads() -> None:
    """A number is taken as it is; 0 is every core that affinity and CPU quota allow."""
    assert use_threads(1) == torch.get_num_threads() == 1
    assert use_threads(0) == torch.get_num_threads() == available_cores()


@pytest.mark.parametrize(
    ("cpuinfo", "native"),
    [
        ("processor\t: 0\nflags\t\t: fpu avx512f avx512_bf16\n", True),
        ("processor\t: 0\nflags\t\t: fpu amx_bf16 amx_tile\n", True),
        ("processor\t: 0\nFeatures\t: fp asimd bf16\n", True),
        ("processor\t: 0\nflags\t\t: fpu avx2 avx512f\n", False),
        ("", False),
    ],
)
def test_native_bfloat16(
    cpuinfo: str, native: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """bfloat16 is native where the processor's flags say so."""
    (tmp_path / "cpuinfo").write_text(cpuinfo)
    monkeypatch.setattr(compute, "_CPUINFO", tmp_path / "cpuinfo")

    assert has_native_bfloat16(CPU) is native


def test_no_cpuinfo_is_no_native_bfloat16(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A system that does not describe its processor computes in float32."""
    monkeypatch.setattr(compute, "_CPUINFO", tmp_path / "missing")

    assert not has_native_bfloat16(CPU)


@pytest.mark.parametrize(("precision", "bfloat16"), [("float32", False), ("bfloat16", True)])
def test_precision_as_asked_for(precision: str, bfloat16: bool) -> None:
    """A precision that is asked for is taken, native or not, and autocast follows it."""
    chosen = choose_compute(
        TrainingConfig.model_validate({"precision": precision, "device": "cpu", "threads": 1})
    )

    with chosen.autocast():
        product = torch.ones(2, 2) @ torch.ones(2, 2)

    assert chosen.bfloat16 is bfloat16
    assert product.dtype == (torch.bfloat16 if bfloat16 else torch.float32)
    assert chosen.device.type == "cpu"


def test_cuda_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """Asking for CUDA where there is none is an error and never a silent CPU run."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)

    with pytest.raises(ConfigError, match="torch finds no CUDA device here"):
        choose_compute(TrainingConfig(device="cuda"))


def test_compiling_needs_a_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a C++ compiler, compile = true ends before anything is loaded, with what to do."""
    monkeypatch.setenv("CXX", "no-such-compiler")

    with pytest.raises(ConfigError, match=r"no-such-compiler is missing: .*compile = false"):
        choose_compute(TrainingConfig(device="cpu", threads=1, compile=True))


def gradients(vae: VAE, samples: int) -> dict[str, Tensor]:
    """Of a training step's loss, by parameter; always of the same images and noise."""
    rng = torch.Generator().manual_seed(1)
    images = (torch.rand(4, 1, 28, 28, generator=rng) < 0.3).float()
    noise = torch.randn(4, samples, 3, generator=rng)
    terms = objective.evaluate(ObjectiveConfig(samples=samples), vae, images, vae(images, noise), 1)
    names, parameters = zip(*vae.named_parameters(), strict=True)
    return dict(zip(names, torch.autograd.grad(terms.loss, parameters), strict=True))


# torch looks at the latents as it compiles, and keeps its own warning of it from being shown.
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor:UserWarning")
@pytest.mark.parametrize("samples", [1, 5])
def test_compiled_networks_learn_and_are_named_the_same(
    samples: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Compiled or not, the gradients of a step are the same, of one draw or importance-weighted,
    and so are the parameters' names."""
    # As compiled for a machine, autograd's part included, but without minutes of a C++ compiler.
    programs: list[object] = []

    def compiled(graph: GraphModule, examples: list[Tensor]) -> object:
        programs.append(graph)
        return lookup_backend("aot_eager")(graph, examples)

    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend=compiled))
    monkeypatch.setenv("CXX", sys.executable)
    model = ModelConfig(latent_dim=3, network=MlpConfig(hidden=(8,)), likelihood=BernoulliConfig())
    vae = VAE(model)
    expected = gradients(vae, samples)

    assert not programs
    assert not choose_compute(TrainingConfig(device="cpu", threads=1)).compile
    assert choose_compute(TrainingConfig(device="cpu", threads=1, compile=True)).compile
    compute.compile_halves(vae)
    found = gradients(vae, samples)

    assert len(programs) == 2
    torch.testing.assert_close(found, expected)


def test_versions() -> None:
    """A run records Python and the libraries that shape a model."""
    versions = compute.tool_versions()

    assert {"python", "torch", "onnxruntime"} <= versions.keys()
    assert all(versions.values())
