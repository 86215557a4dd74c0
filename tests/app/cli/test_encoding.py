"""`vaeserve encode`: a folder's latents, whole or not at all."""

from __future__ import annotations

import csv
import importlib.util
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyarrow import parquet

from app.cli import encoding
from app.cli.exits import Exit
from tests.app.cli.conftest import Run, draw

LEVELS = {"a.png": 0.0, "b.PNG": 0.2, "deep/c.png": 1.0}


def test_parquet_has_a_row_for_each_image(run: Run, folder: Path, tmp_path: Path) -> None:
    """Columns path, mean and logvar in the order of the names, and whose latents they are."""
    output = tmp_path / "latents.parquet"
    assert run("encode", folder, "-o", output) == Exit.DONE
    table = parquet.read_table(output)
    assert table.column_names == ["path", "mean", "logvar"]
    rows = table.to_pylist()
    assert [row["path"] for row in rows] == [str(folder / name) for name in LEVELS]
    for row, level in zip(rows, LEVELS.values(), strict=True):
        assert row["mean"] == pytest.approx([level, level], abs=1e-6)
        assert row["logvar"] == [0, 0]
    metadata = parquet.read_schema(output).metadata
    assert metadata[b"model"] == b"arithmetic"
    assert json.loads(metadata[b"latent_shape"]) == [2]


def test_row_groups_are_written_as_they_come(
    run: Run, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was written is no longer in memory: a row group ends after so many bytes."""
    monkeypatch.setattr(encoding, "_GROUP_BYTES", 1)
    monkeypatch.setattr("app.cli.batches.IMAGES", 2)
    output = tmp_path / "latents.parquet"
    assert run("encode", folder, "-o", output) == Exit.DONE
    file = parquet.ParquetFile(output)
    assert [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)] == [2, 1]


def test_other_files_hold_the_same(run: Run, folder: Path, tmp_path: Path) -> None:
    """`.npz`, `.npy` and `.csv` have the same means; batches do not show."""
    levels = np.repeat(np.array(list(LEVELS.values()), np.float32)[:, None], 2, axis=1)
    paths = [str(folder / name) for name in LEVELS]
    for ending in ("npz", "npy", "csv"):
        assert run("encode", folder, "-o", tmp_path / f"latents.{ending}") == Exit.DONE
    means = np.load(tmp_path / "latents.npy", allow_pickle=False)
    np.testing.assert_allclose(means, levels, atol=1e-6)
    with np.load(tmp_path / "latents.npz", allow_pickle=False) as arrays:
        assert arrays["path"].tolist() == paths
        np.testing.assert_array_equal(arrays["mean"], means)
        assert not arrays["logvar"].any()
    with (tmp_path / "latents.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["path"] for row in rows] == paths
    assert [np.float32(row["mean_1"]) for row in rows] == means[:, 1].tolist()
    assert list(rows[0]) == ["path", "mean_0", "mean_1", "logvar_0", "logvar_1"]


def test_broken_files_are_named_and_skipped(
    run: Run, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The others are done, and the exit code tells that some were not."""
    (folder / "aa.png").write_bytes(b"broken")
    (folder / "ab.png").write_bytes(b"")
    (folder / "gone.png").symlink_to(folder / "nowhere.png")
    output = tmp_path / "latents.npz"
    assert run("encode", folder, "-o", output) == Exit.SKIPPED
    with np.load(output) as arrays:
        assert [Path(path).name for path in arrays["path"]] == ["a.png", "b.PNG", "c.png"]
        np.testing.assert_allclose(arrays["mean"][:, 0], list(LEVELS.values()), atol=1e-6)
    said = capsys.readouterr().err
    for name in ("aa.png", "ab.png", "gone.png"):
        assert f"skipped {folder / name}: " in said
    assert "3 images encoded, 3 files skipped" in said


def test_what_never_ends_is_skipped(
    run: Run, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Devices are not read, and names can't write to the terminal."""
    (folder / "zero\033.png").symlink_to("/dev/zero")
    assert run("encode", folder, "-o", tmp_path / "latents.npy") == Exit.SKIPPED
    said = capsys.readouterr().err
    assert said.count("it is neither a file nor a pipe") == 1
    assert "\033" not in said


def test_strict_stops_at_a_broken_file(
    run: Run, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With --strict nothing is written, not even in part, and the file is named."""
    (folder / "aa.png").write_bytes(b"broken")
    output = tmp_path / "latents.parquet"
    assert run("encode", folder, "-o", output, "--strict") == Exit.FAILED
    assert f"{folder / 'aa.png'}: not an image" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["pictures"]


def test_nothing_but_broken_files_is_a_failure(run: Run, tmp_path: Path) -> None:
    """Where no image could be read there is no file, and an older one stays."""
    (tmp_path / "a.png").write_bytes(b"broken")
    output = tmp_path / "latents.npy"
    output.write_bytes(b"older")
    assert run("encode", tmp_path, "-o", output) == Exit.FAILED
    assert output.read_bytes() == b"older"


@pytest.mark.parametrize(
    ("source", "output", "words"),
    [
        ("pictures", "latents.txt", "must end in one of .parquet"),
        ("pictures", "nowhere/latents.npy", "does not exist"),
        ("missing", "latents.npy", "missing does not exist"),
        (".", "latents.npy", "there is no image"),
    ],
)
def test_what_can_not_begin_is_wrong_usage(
    source: str,
    output: str,
    words: str,
    run: Run,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Before a model is loaded, paths that can't be worked on are refused."""
    (tmp_path / "pictures").mkdir()
    if source == "pictures":
        draw(tmp_path / "pictures" / "a.png", 1)
    assert run("encode", tmp_path / source, "-o", tmp_path / output) == Exit.USAGE
    assert words in capsys.readouterr().err


def test_parquet_without_its_package_says_what_to_install(
    run: Run,
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The extra is named before anything is computed."""
    find = importlib.util.find_spec

    def without(name: str, *rest: Any) -> Any:
        return None if name == "pyarrow" else find(name, *rest)

    monkeypatch.setattr(importlib.util, "find_spec", without)
    assert run("encode", folder, "-o", tmp_path / "a.parquet") == Exit.USAGE
    assert "pip install 'vaeserve[parquet]'" in capsys.readouterr().err
