"""The registry: what serves, what does not, and the words for it."""

from __future__ import annotations

import asyncio
import json
import shutil
import threading
from pathlib import Path

import pytest

from app.errors import InvalidFieldError, ModelUnavailableError, UnknownModelError
from app.inference.loader import Loaded, load
from app.registry.registry import Registry
from model.bundle.bundle import DECODER, MANIFEST, Bundle
from tests import arithmetic_bundle
from tests.app.loops import in_loop
from tests.app.registries import flip_a_byte, registry


@in_loop
async def test_serves_the_highest_version(tmp_path: Path) -> None:
    """Of several versions the highest by number serves, not the last by name."""
    for version in (2, 10, 9):
        arithmetic_bundle.write(tmp_path, version=version)
    subject = registry(tmp_path)
    await subject.open()
    assert subject.problems() == []
    assert subject.engine(None).version == 10
    assert {version.state for version in subject.models["arithmetic"].versions} == {"ready"}


@in_loop
async def test_a_broken_highest_version_leaves_the_next_lower_serving(tmp_path: Path) -> None:
    """If the highest version is damaged the next lower one serves, ready, and the reason shows."""
    for version in (1, 2):
        arithmetic_bundle.write(tmp_path, version=version)
    flip_a_byte(tmp_path / "arithmetic" / "2" / DECODER)
    subject = registry(tmp_path)
    await subject.open()
    assert subject.problems() == []
    assert subject.engine("arithmetic").version == 1
    broken = subject.models["arithmetic"].versions[0]
    assert broken.state == "unavailable"
    assert "2/decoder.onnx: damaged" in broken.reason


def _flip(folder: Path) -> None:
    flip_a_byte(folder / DECODER)


def _remove(folder: Path) -> None:
    (folder / DECODER).unlink()


def _future(folder: Path) -> None:
    manifest = json.loads((folder / MANIFEST).read_text())
    (folder / MANIFEST).write_text(json.dumps(manifest | {"schema_version": 2}))


def _no_manifest(folder: Path) -> None:
    (folder / MANIFEST).unlink()


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (_flip, "decoder.onnx: damaged"),
        (_remove, "decoder.onnx: missing"),
        (_future, "manifest.json: schema_version is 2"),
        (_no_manifest, "manifest.json: missing"),
    ],
)
@in_loop
async def test_a_damaged_bundle_never_serves_and_says_why(
    tmp_path: Path, damage: object, words: str
) -> None:
    """A flipped byte, a missing file or a future schema: not ready, naming the file and why."""
    bundle = arithmetic_bundle.write(tmp_path)
    assert callable(damage)
    damage(bundle.folder)
    subject = registry(tmp_path)
    await subject.open()
    [problem] = subject.problems()
    assert problem.startswith("arithmetic: ")
    assert words in problem
    with pytest.raises(ModelUnavailableError, match=words):
        subject.engine(None)


@in_loop
async def test_a_defect_while_loading_is_a_reason_and_spares_the_others(tmp_path: Path) -> None:
    """An exception that nobody foresaw makes one version unavailable and is told."""
    arithmetic_bundle.write(tmp_path, name="bad")
    arithmetic_bundle.write(tmp_path, name="good")

    def fragile(bundle: Bundle) -> Loaded:
        if bundle.manifest.name == "bad":
            raise ZeroDivisionError("oops")
        return load(bundle, "cpu", cores=1)

    subject = registry(tmp_path, load=fragile)
    await subject.open()
    assert subject.engine("good").name == "good"
    assert "ZeroDivisionError: oops" in subject.problems()[0]


@in_loop
async def test_an_empty_repository_is_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A mistyped folder does not look like a normal start: the log says what was not found."""
    await registry(tmp_path / "mistyped").open()
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert "no bundle" in caplog.text
    assert "mistyped" in caplog.text


@in_loop
async def test_no_bundle_is_a_problem_that_names_the_folder(tmp_path: Path) -> None:
    """An empty or missing repository is live, not ready, and says where it looked."""
    subject = registry(tmp_path / "nowhere")
    assert subject.problems() == ["the models are still loading"]
    await subject.open()
    assert "nowhere" in subject.problems()[0]
    with pytest.raises(ModelUnavailableError, match="no bundle"):
        subject.engine(None)


@in_loop
async def test_a_wrong_default_is_a_problem_that_names_what_there_is(tmp_path: Path) -> None:
    """A default model that is not there leaves the server not ready; others still answer."""
    arithmetic_bundle.write(tmp_path)
    subject = registry(tmp_path, default="mnist")
    await subject.open()
    assert subject.problems() == [
        "the model 'mnist' is required but was not found; found: arithmetic"
    ]
    with pytest.raises(UnknownModelError, match="mnist"):
        subject.engine(None)
    assert subject.engine("arithmetic").name == "arithmetic"


@in_loop
async def test_required_models_decide_readiness(tmp_path: Path) -> None:
    """Only the required models count: a broken one beside them shows and does not matter."""
    arithmetic_bundle.write(tmp_path, name="wanted")
    flip_a_byte(arithmetic_bundle.write(tmp_path, name="broken").folder / DECODER)
    both = registry(tmp_path)
    await both.open()
    assert len(both.problems()) == 1
    one = registry(tmp_path, required=["wanted"])
    await one.open()
    assert one.problems() == []
    missing = registry(tmp_path, required=["wanted", "absent"])
    await missing.open()
    assert "'absent' is required but was not found" in missing.problems()[0]


@in_loop
async def test_required_models_load_first_and_count_at_once(tmp_path: Path) -> None:
    """The server is ready as soon as the required models serve, while others still load."""
    arithmetic_bundle.write(tmp_path, name="a-slow-one")
    arithmetic_bundle.write(tmp_path, name="required")
    gate = threading.Event()

    def slow(bundle: Bundle) -> Loaded:
        if bundle.manifest.name == "a-slow-one":
            gate.wait()
        return load(bundle, "cpu", cores=1)

    subject = registry(tmp_path, required=["required"], load=slow)
    opening = asyncio.create_task(subject.open())
    while subject.problems():  # noqa: ASYNC110 the registry tells nobody
        await asyncio.sleep(0.001)
    with pytest.raises(ModelUnavailableError, match="still loading"):
        subject.engine("a-slow-one")
    gate.set()
    await opening
    assert subject.engine("a-slow-one").name == "a-slow-one"


@in_loop
async def test_halt_ends_the_loading(tmp_path: Path) -> None:
    """A server that stops while it loads opens no further version."""
    for name in ("a", "b"):
        arithmetic_bundle.write(tmp_path, name=name)
    subject: Registry

    def halting(bundle: Bundle) -> Loaded:
        subject.halt()
        return load(bundle, "cpu", cores=1)

    subject = registry(tmp_path, load=halting)
    await subject.open()
    assert [bool(model.engine) for model in subject.models.values()] == [True, False]
    await subject.close()


@in_loop
async def test_several_models_need_a_name(tmp_path: Path) -> None:
    """Without a default a request must name its model, and is told which there are."""
    for name in ("one", "two"):
        arithmetic_bundle.write(tmp_path, name=name)
    subject = registry(tmp_path)
    await subject.open()
    with pytest.raises(InvalidFieldError, match="one, two"):
        subject.engine(None)
    with pytest.raises(UnknownModelError, match=r"'\.\./two'"):
        subject.engine("../two")
    assert subject.engine("two").name == "two"


@in_loop
async def test_the_first_root_wins(tmp_path: Path) -> None:
    """Of one version in two roots the first counts; other versions of the second are seen."""
    first, second = tmp_path / "first", tmp_path / "second"
    arithmetic_bundle.write(first)
    arithmetic_bundle.write(second)
    arithmetic_bundle.write(second, version=3)
    subject = registry(first, second)
    await subject.open()
    folders = [version.folder for version in subject.models["arithmetic"].versions]
    assert folders == [second / "arithmetic" / "3", first / "arithmetic" / "1"]


@in_loop
async def test_folders_that_are_no_bundles_are_left_out(tmp_path: Path) -> None:
    """Unfinished copies, bad names, reserved names and odd versions are no models."""
    source = arithmetic_bundle.write(tmp_path).folder
    for name in (
        "arithmetic/.2-copy",
        "arithmetic/02",
        "arithmetic/-1",
        "Upper/1",
        "stats/1",
        "a-encoder/1",
    ):
        shutil.copytree(source, tmp_path / name)
    shutil.copytree(source, tmp_path / "newline\n" / "1")
    (tmp_path / "file").mkdir()
    (tmp_path / "file" / "1").write_text("no folder")
    subject = registry(tmp_path)
    await subject.open()
    assert list(subject.models) == ["arithmetic"]
    assert [version.number for version in subject.models["arithmetic"].versions] == [1]
