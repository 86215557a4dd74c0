"""Commands under test see no setting of whoever runs the tests."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from app.cli.main import main
from model.pixels import Images

Run = Callable[..., int]


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith("VAE_"):
            monkeypatch.delenv(name)


@pytest.fixture(name="run")
def _run(repository: Path) -> Run:
    """Runs a command in this process, on the arithmetic bundle."""

    def run(*arguments: object, repository: Path = repository) -> int:
        given = [str(argument) for argument in arguments]
        return main([*given, "--repository", str(repository)])

    return run


@pytest.fixture(name="folder")
def _folder(tmp_path: Path) -> Path:
    """Three images of one grey level each, in two folders, beside a file that is none."""
    folder = tmp_path / "pictures"
    (folder / "deep").mkdir(parents=True)
    draw(folder / "a.png", 0)
    draw(folder / "b.PNG", 51)
    draw(folder / "deep" / "c.png", 255)
    (folder / "notes.txt").write_text("no image\n")
    return folder


def draw(path: Path, level: int) -> None:
    Image.new("L", (4, 4), level).save(path, "PNG")


def read(path: Path) -> Images:
    with Image.open(path) as image:
        return np.asarray(image)
