"""Files are written as a whole or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import IO

import pytest

from tests.limits import file_size_limit
from tests.training import runs
from training.errors import ConfigError, DiskError, StageError
from training.fit.fit import fit
from training.workdir import Workdir, read_json, sole_use, write_atomic, write_json


def test_json_round_trip(tmp_path: Path) -> None:
    """What is written is read back, folders being made as needed."""
    path = tmp_path / "a" / "b.json"

    write_json(path, {"name": "über", "values": [1, 2.5, None]})

    assert read_json(path) == {"name": "über", "values": [1, 2.5, None]}


def test_a_failed_write_keeps_what_was_there(tmp_path: Path) -> None:
    """If the new content can't be made, the old file is whole and no temporary one is left."""
    path = tmp_path / "file"
    write_atomic(path, lambda file: file.write(b"old"))

    def fail(file: IO[bytes]) -> None:
        file.write(b"half")
        raise RuntimeError

    with pytest.raises(RuntimeError):
        write_atomic(path, fail)

    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_keeps_what_was_there(tmp_path: Path) -> None:
    """If the disk takes no more, the old file is whole and the error names the path."""
    path = tmp_path / "file"
    write_atomic(path, lambda file: file.write(b"old"))

    with (
        file_size_limit(1000),
        pytest.raises(DiskError, match=r"file: not written: File too large"),
    ):
        write_atomic(path, lambda file: file.write(bytes(2000)))

    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_can_not_be_made(tmp_path: Path) -> None:
    """A path below a file is one sentence, not a traceback."""
    (tmp_path / "file").write_text("")

    with pytest.raises(DiskError, match="not written: File exists"):
        write_atomic(tmp_path / "file" / "below", lambda file: file.write(b""))


def test_missing_files_name_the_stage_to_run(tmp_path: Path) -> None:
    """A stage that comes too early says which one comes first."""
    workdir = Workdir(tmp_path)

    with pytest.raises(StageError, match=r"encoder\.onnx: missing; run `vaetrain export`"):
        workdir.require(workdir.encoder, "export")
    with pytest.raises(StageError, match=r"config\.json: missing; run `vaetrain fit`"):
        workdir.read_config()


def test_later_stages_change_only_what_is_theirs(tmp_path: Path) -> None:
    """Evaluation and the machine may change after training; what shaped the weights may not."""
    workdir = Workdir(tmp_path)
    write_json(workdir.config, runs.config(tmp_path).model_dump(mode="json"))

    assert workdir.read_config(["evaluation.samples=7"]).evaluation.samples == 7
    assert workdir.read_config(["threads=3", "device=cpu"]).threads == 3
    with pytest.raises(ConfigError, match=r"model\.latent_dim: fixed when .* was trained"):
        workdir.read_config(["model.latent_dim=9"])


def test_two_runs_do_not_share_a_workdir(tmp_path: Path) -> None:
    """While one run is in a folder another is refused; afterwards, or elsewhere, it is not."""
    with sole_use(tmp_path / "run"):
        with pytest.raises(StageError, match="another run is using it"), sole_use(tmp_path / "run"):
            pass
        with sole_use(tmp_path / "other"):
            pass
    with sole_use(tmp_path / "run"):
        pass


def test_fit_is_refused_where_a_run_is_going_on(tmp_path: Path) -> None:
    """The second run of a workdir writes nothing into it."""
    with (
        sole_use(tmp_path / "run"),
        pytest.raises(StageError, match="another run is using it") as caught,
    ):
        fit(runs.config(tmp_path), tmp_path / "run", console=runs.QUIET)

    assert caught.value.exit_code == 2
    assert [path.name for path in (tmp_path / "run").iterdir()] == [".lock"]


@pytest.mark.parametrize("content", [b"{}", b'{"metrics": 3}'])
def test_a_document_without_its_members_is_damaged(tmp_path: Path, content: bytes) -> None:
    """JSON that is whole, and not what the stage writes, is told likewise."""
    workdir = Workdir(tmp_path)
    workdir.metrics.write_bytes(content)

    with pytest.raises(StageError, match=r"damaged \(metrics is .*run `vaetrain evaluate`"):
        workdir.read_json(workdir.metrics, "evaluate", metrics=dict)


@pytest.mark.parametrize("content", [b"", b'{"a": ', b"[]", b"\xff"])
def test_a_damaged_document_names_the_stage_to_run_again(tmp_path: Path, content: bytes) -> None:
    """What is no JSON object is named, with the command that writes it anew."""
    workdir = Workdir(tmp_path)
    workdir.metrics.write_bytes(content)

    with pytest.raises(StageError, match=r"metrics\.json: damaged .*run `vaetrain evaluate`"):
        workdir.read_json(workdir.metrics, "evaluate")
