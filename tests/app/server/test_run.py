"""How many processes serve: as many as were asked for, else what the cores and the GPU suggest."""

from __future__ import annotations

import shutil
import sys
import tempfile

import pytest

from app.server import run as module
from app.server.run import MOST_WORKERS, worker_count
from app.settings import Settings


@pytest.mark.parametrize(("cores", "expected"), [(1, 1), (2, 2), (64, MOST_WORKERS)])
def test_one_for_each_core(monkeypatch: pytest.MonkeyPatch, cores: int, expected: int) -> None:
    """On the CPU the cores are counted, up to a bound."""
    monkeypatch.setattr(module, "available_cores", lambda: cores)
    assert worker_count(Settings(provider="cpu")) == expected


def test_what_is_set_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """A number that somebody chose is not second-guessed."""
    monkeypatch.setattr(module, "available_cores", lambda: 2)
    assert worker_count(Settings(workers=5, provider="cuda")) == 5


@pytest.mark.parametrize(
    ("provider", "offered", "expected"),
    [("auto", True, 1), ("auto", False, 4), ("cuda", False, 1), ("cpu", True, 4)],
)
def test_one_where_a_gpu_works(
    monkeypatch: pytest.MonkeyPatch, provider: str, offered: bool, expected: int
) -> None:
    """Several processes would each load the models into the GPU's memory."""
    monkeypatch.setattr(module, "available_cores", lambda: 4)
    monkeypatch.setattr("model.runtime.offers_cuda", lambda: offered)
    assert worker_count(Settings.model_validate({"provider": provider})) == expected


def test_one_where_the_kernel_is_another(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only Linux gives each process that listens on a port its part of the connections."""
    monkeypatch.setattr(module, "available_cores", lambda: 4)
    monkeypatch.setattr(sys, "platform", "darwin")
    assert worker_count(Settings(provider="cpu")) == 1
    assert worker_count(Settings(provider="cpu", workers=2)) == 2


def test_one_without_a_temporary_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several processes add up their figures in files; where none can be written, one serves."""
    monkeypatch.setattr(module, "available_cores", lambda: 4)
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(tempfile, "_candidate_tempdir_list", list)
    assert worker_count(Settings(provider="cpu")) == 1


def test_one_where_the_temporary_folder_is_full(monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures that find no room later would end the workers."""
    monkeypatch.setattr(module, "available_cores", lambda: 4)
    usage = shutil.disk_usage(".")
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage._replace(free=1_000_000))
    assert worker_count(Settings(provider="cpu")) == 1
