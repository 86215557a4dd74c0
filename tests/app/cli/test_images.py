"""`vaeserve sample`, `reconstruct` and `models`, without a service."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from app.cli.exits import Exit
from app.cli.main import main
from tests import arithmetic_bundle
from tests.app.cli.conftest import Run, draw, read


def test_samples_become_a_grid_or_an_array(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same seed draws the same images into either, and the seed is told."""
    grid, array = tmp_path / "grid.png", tmp_path / "array.npy"
    assert run("sample", "-n", 4, "-o", grid, "--seed", 7) == Exit.DONE
    assert run("sample", "-n", 4, "-o", array, "--seed", 7) == Exit.DONE
    assert "seed 7" in capsys.readouterr().err
    images = np.load(array)
    assert (images.shape, images.dtype) == ((4, 4, 4, 1), np.uint8)
    sheet = read(grid)
    assert sheet.shape == (10, 10)
    np.testing.assert_array_equal(sheet[6:, 6:], images[3, :, :, 0])


def test_a_reconstruction_becomes_a_image(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An image of one level reconstructs as itself, and its figures are told."""
    draw(tmp_path / "in.png", 51)
    assert run("reconstruct", tmp_path / "in.png", tmp_path / "out.png") == Exit.DONE
    np.testing.assert_array_equal(read(tmp_path / "out.png"), np.full((4, 4), 51))
    assert "squared error 0, KL 0.04 nats" in capsys.readouterr().err


def test_a_walk_becomes_a_strip_an_animation_or_an_array(run: Run, tmp_path: Path) -> None:
    """The ending of the output's name says which; ends are images or seeds."""
    draw(tmp_path / "a.png", 0)
    draw(tmp_path / "b.png", 255)
    ends = (tmp_path / "a.png", tmp_path / "b.png")
    walk = ("interpolate", *ends, "--steps", 3, "--path", "linear")
    for name in ("walk.gif", "walk.webp"):
        output = tmp_path / name
        assert run(*walk, "-o", output, "--milliseconds", 50, "--bounce") == Exit.DONE
        with Image.open(output) as image:
            assert getattr(image, "n_frames", 1) == 4
    assert run(*walk, "-o", tmp_path / "strip.png") == Exit.DONE
    assert run(*walk, "-o", tmp_path / "walk.npy") == Exit.DONE
    images = np.load(tmp_path / "walk.npy")
    assert images[:, 0, 0, 0].tolist() == [0, 128, 255]
    strip = read(tmp_path / "strip.png")
    assert strip.shape[0] == 4
    np.testing.assert_array_equal(strip[:, -4:], images[2, :, :, 0])
    assert run("interpolate", "--seeds", 1, 2, "-o", tmp_path / "seeds.npy") == Exit.DONE
    assert len(np.load(tmp_path / "seeds.npy")) == 8


def test_a_broken_image_is_named(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its file's name stands before what is wrong with it."""
    (tmp_path / "in.png").write_bytes(b"broken")
    assert run("reconstruct", tmp_path / "in.png", tmp_path / "out.png") == Exit.FAILED
    assert f"{tmp_path / 'in.png'}: " in capsys.readouterr().err
    assert not (tmp_path / "out.png").exists()


def test_a_refusal_is_told(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What the service refuses ends with 1 and its own sentence."""
    assert run("sample", "-o", tmp_path / "a.png", "--temperature", 11) == Exit.FAILED
    assert "temperature must be at most 10" in capsys.readouterr().err


def test_models_are_listed(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    """With the version that serves and the verbs, as text and as JSON."""
    assert run("models") == Exit.DONE
    text = capsys.readouterr().out
    assert "arithmetic (default) version 1 serves: sample, encode" in text
    assert run("models", "--json") == Exit.DONE
    (model,) = json.loads(capsys.readouterr().out)["models"]
    assert (model["name"], model["serving"]) == ("arithmetic", 1)
    assert model["versions"] == [{"number": 1, "state": "ready", "reason": ""}]


def test_without_a_model_there_is_no_answer(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A repository without a bundle, or with a damaged one, ends with 4 and the reason."""
    assert run("sample", "-o", tmp_path / "a.png", repository=tmp_path) == Exit.NO_ANSWER
    assert "no bundle" in capsys.readouterr().err
    bundle = arithmetic_bundle.write(tmp_path)
    (bundle.folder / "decoder.onnx").write_bytes(b"damaged")
    assert run("sample", "-o", tmp_path / "a.png", repository=tmp_path) == Exit.NO_ANSWER
    assert "decoder.onnx" in capsys.readouterr().err


def test_a_url_names_its_scheme(capsys: pytest.CaptureFixture[str]) -> None:
    """What is no address of a service is wrong usage."""
    assert main(["models", "--url", "localhost:8000"]) == Exit.USAGE
    assert "must be like http://" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("interpolate", "-o", "a.png"), "two images"),
        (("interpolate", "x.png", "-o", "a.png"), "two images"),
        (("interpolate", "x.png", "y.png", "--seeds", "1", "2", "-o", "a.png"), "two images"),
        (("interpolate", "x.png", "y.png", "-o", "a.png"), "x.png is not a file"),
        (("interpolate", "--seeds", "1", "2", "--bounce", "-o", "a.png"), "apply only to .gif"),
        (("interpolate", "--seeds", "1", "2", "-o", "a.mp4"), "must end in one of"),
        (("reconstruct", "x.png", "a.png"), "x.png is not a file"),
        (("reconstruct", "x.png", "a.jpg"), "must end in one of .png"),
        (("models", "--url", "http://x"), "--repository"),
    ],
)
def test_what_does_not_fit_is_wrong_usage(
    arguments: tuple[str, ...],
    words: str,
    run: Run,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A mistake ends with 2 and says what would be right."""
    monkeypatch.chdir(tmp_path)
    assert run(*arguments) == Exit.USAGE
    assert words in capsys.readouterr().err
