"""Loading, replacing and unloading while requests go on."""

from __future__ import annotations

import asyncio
import gc
import shutil
import threading
import weakref
from pathlib import Path

import numpy as np
import pytest

from app.errors import ModelUnavailableError, UnknownModelError, UnknownVersionError
from app.inference.loader import Loaded, load
from app.registry.registry import Registry
from model.bundle.bundle import DECODER, MANIFEST, Bundle
from tests import arithmetic_bundle
from tests.app.loops import in_loop, settle_down
from tests.app.registries import flip_a_byte, registry, rewrite, until

LATENTS = np.zeros((1, 2), np.float32)


def states(subject: Registry, name: str = "arithmetic") -> list[tuple[int, str]]:
    return [(version.number, version.state) for version in subject.models[name].versions]


def card(subject: Registry) -> str:
    return subject.engine("arithmetic").manifest.card


@in_loop
async def test_loads_a_new_version_beside_the_old(tmp_path: Path) -> None:
    """A version that has come is loaded and serves; the one before goes on under its number."""
    arithmetic_bundle.write(tmp_path)
    subject = registry(tmp_path)
    await subject.open()
    before = subject.engine(None)
    arithmetic_bundle.write(tmp_path, version=2)
    await subject.load("arithmetic")
    assert subject.engine(None).version == 2
    assert subject.engine(None, 1) is before
    assert states(subject) == [(2, "ready"), (1, "ready")]


@in_loop
async def test_a_changed_version_is_replaced_and_an_unchanged_one_kept(tmp_path: Path) -> None:
    """The manifest's bytes tell whether there is anything to load."""
    rewrite(tmp_path, card="first")
    subject = registry(tmp_path)
    await subject.open()
    before = subject.engine(None)
    await subject.load("arithmetic")
    assert subject.engine(None) is before
    rewrite(tmp_path, card="second")
    await subject.load("arithmetic")
    assert card(subject) == "second"


@in_loop
async def test_the_old_engine_answers_while_the_new_one_loads(tmp_path: Path) -> None:
    """Nothing changes for requests until the new engine is checked and warm."""
    rewrite(tmp_path, card="first")
    gate = threading.Event()
    gate.set()

    def slow(bundle: Bundle) -> Loaded:
        gate.wait()
        return load(bundle, "cpu", cores=1)

    subject = registry(tmp_path, load=slow)
    await subject.open()
    gate.clear()
    rewrite(tmp_path, card="second")
    loading = asyncio.create_task(subject.load("arithmetic"))
    await settle_down()
    assert card(subject) == "first"
    assert states(subject) == [(1, "ready")]
    await subject.engine(None).decode(LATENTS)
    gate.set()
    await loading
    assert card(subject) == "second"


@in_loop
async def test_a_failed_load_leaves_the_old_one_serving_and_says_why(tmp_path: Path) -> None:
    """The call fails with the reason, which shows until what is on disk is sound again."""
    rewrite(tmp_path, card="first")
    subject = registry(tmp_path)
    await subject.open()
    flip_a_byte(rewrite(tmp_path, card="second") / DECODER)
    with pytest.raises(ModelUnavailableError, match=r"arithmetic/1 did not load: .*damaged"):
        await subject.load("arithmetic")
    assert card(subject) == "first"
    assert states(subject) == [(1, "ready")]
    assert "what was loaded before still serves" in subject.warnings()[0]
    assert subject.problems() == []
    rewrite(tmp_path, card="third")
    await subject.load("arithmetic")
    assert card(subject) == "third"
    assert subject.warnings() == []


@in_loop
async def test_a_version_that_is_gone_is_let_go(tmp_path: Path) -> None:
    """A removed version is closed and unknown, and a model without versions as well."""
    for version in (1, 2):
        arithmetic_bundle.write(tmp_path, version=version)
    subject = registry(tmp_path)
    await subject.open()
    shutil.rmtree(tmp_path / "arithmetic" / "2")
    await subject.load("arithmetic")
    assert subject.engine(None).version == 1
    await until(lambda: states(subject) == [(1, "ready")])
    with pytest.raises(UnknownVersionError):
        subject.engine(None, 2)
    shutil.rmtree(tmp_path / "arithmetic")
    with pytest.raises(UnknownModelError, match="no model 'arithmetic' was found in "):
        await subject.load("arithmetic")
    await until(lambda: not subject.models)


@in_loop
async def test_unload_refuses_new_requests_and_lets_the_others_end(tmp_path: Path) -> None:
    """New requests are told that it is unloaded; those that have begun are answered first."""
    arithmetic_bundle.write(tmp_path)
    subject = registry(tmp_path)
    await subject.open()
    engine = subject.engine(None)
    engine.begin()
    unloading = asyncio.create_task(subject.unload("arithmetic"))
    await settle_down()
    assert states(subject) == [(1, "unloading")]
    with pytest.raises(ModelUnavailableError, match="it is unloaded"):
        subject.engine(None)
    with pytest.raises(ModelUnavailableError, match="it is unloaded"):
        subject.engine(None, 1)
    assert len((await engine.decode(LATENTS)).outputs[0]) == 1
    engine.end()
    await unloading
    assert states(subject) == [(1, "unloaded")]
    with pytest.raises(UnknownModelError):
        await subject.unload("other")


@in_loop
async def test_an_unload_holds_against_the_folder_until_a_load(tmp_path: Path) -> None:
    """Changed and new versions are seen and stay unloaded."""
    arithmetic_bundle.write(tmp_path)
    subject = registry(tmp_path)
    await subject.open()
    await subject.unload("arithmetic")
    rewrite(tmp_path, card="second")
    arithmetic_bundle.write(tmp_path, version=2)
    subject.changed({"arithmetic"})
    await until(lambda: states(subject) == [(2, "unloaded"), (1, "unloaded")])
    await subject.load("arithmetic")
    assert states(subject) == [(2, "ready"), (1, "ready")]


@in_loop
async def test_a_load_overtakes_the_end_of_an_unload(tmp_path: Path) -> None:
    """A model is loaded again while requests still hold the engine that was taken out."""
    arithmetic_bundle.write(tmp_path)
    subject = registry(tmp_path)
    await subject.open()
    old = subject.engine(None)
    old.begin()
    unloading = asyncio.create_task(subject.unload("arithmetic"))
    await settle_down()
    await subject.load("arithmetic")
    assert states(subject) == [(1, "ready")]
    old.end()
    await unloading
    assert states(subject) == [(1, "ready")]
    assert subject.engine(None) is not old


@in_loop
async def test_an_incomplete_copy_is_tried_again_on_each_change(tmp_path: Path) -> None:
    """A version whose files come one after another serves once the last is there."""
    made = arithmetic_bundle.write(tmp_path / "made").folder
    target = tmp_path / "root" / "arithmetic" / "1"
    target.mkdir(parents=True)
    subject = registry(tmp_path / "root")
    await subject.open()
    assert states(subject) == [(1, "unavailable")]
    for name in (MANIFEST, "encoder.onnx", DECODER, "golden.npz"):
        assert subject.models["arithmetic"].engine is None
        before = subject.warnings()
        shutil.copy(made / name, target / name)
        subject.changed({"arithmetic"})
        await until(lambda before=before: subject.warnings() != before)  # type: ignore[misc]
    await until(lambda: subject.models["arithmetic"].engine)


@in_loop
async def test_what_failed_and_is_as_it_was_is_not_tried_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A watch begins by having all looked at: that logs no error anew; an order and a change of
    its files do try again."""
    path = arithmetic_bundle.write(tmp_path).folder / DECODER
    whole = path.read_bytes()
    flip_a_byte(path)
    subject = registry(tmp_path)
    await subject.open()

    def failures() -> int:
        return caplog.text.count("arithmetic/1 does not serve")

    assert failures() == 1
    arithmetic_bundle.write(tmp_path, name="other")
    subject.changed(None)
    await until(lambda: "other" in subject.models and subject.models["other"].engine)
    await subject._refresh("arithmetic")
    assert failures() == 1
    assert states(subject) == [(1, "unavailable")]
    with pytest.raises(ModelUnavailableError, match="damaged"):
        await subject.load("arithmetic")
    assert failures() == 2
    path.write_bytes(whole)
    subject.changed(None)
    await until(lambda: states(subject) == [(1, "ready")])


@in_loop
async def test_changes_that_name_no_model_concern_all(tmp_path: Path) -> None:
    """What has come, changed and gone unnoticed is found by looking at everything."""
    for name in ("stays", "goes"):
        arithmetic_bundle.write(tmp_path, name=name)
    subject = registry(tmp_path)
    await subject.open()
    shutil.rmtree(tmp_path / "goes")
    arithmetic_bundle.write(tmp_path, name="comes")
    subject.changed(None)
    await until(lambda: list(subject.models) == ["comes", "stays"])
    await until(lambda: subject.models["comes"].engine)


@in_loop
async def test_models_load_side_by_side_and_one_model_in_turn(tmp_path: Path) -> None:
    """Two models are in the loader at once; two loads of one model are not."""
    for name in ("a", "b"):
        rewrite(tmp_path, name=name)
    inside: list[str] = []
    both, crowded = threading.Event(), threading.Event()

    def counting(bundle: Bundle) -> Loaded:
        name = bundle.manifest.name
        if name in inside:
            crowded.set()
        inside.append(name)
        if set(inside) == {"a", "b"}:
            both.set()
        both.wait()
        inside.remove(name)
        return load(bundle, "cpu", cores=1)

    subject = registry(tmp_path, load=counting)
    await asyncio.gather(*(subject.load(name) for name in ("a", "b", "a", "b")))
    assert both.is_set()
    assert not crowded.is_set()
    assert all(model.engine for model in subject.models.values())


@in_loop
async def test_a_caller_who_leaves_does_not_stop_the_load(tmp_path: Path) -> None:
    """A load that was begun is brought to its end."""
    rewrite(tmp_path, card="first")
    subject = registry(tmp_path)
    await subject.open()
    rewrite(tmp_path, card="second")
    caller = asyncio.create_task(subject.load("arithmetic"))
    await asyncio.sleep(0)
    caller.cancel()
    await until(lambda: card(subject) == "second")
    await subject.close()


@in_loop
async def test_a_request_that_found_the_old_engine_is_answered_by_it(tmp_path: Path) -> None:
    """It may begin long after the engine was replaced: its body came slowly."""
    rewrite(tmp_path, card="first")
    subject = registry(tmp_path)
    await subject.open()
    old = subject.engine(None)
    rewrite(tmp_path, card="second")
    await subject.load("arithmetic")
    assert card(subject) == "second"
    await settle_down()
    old.begin()
    assert len((await old.decode(LATENTS)).outputs[0]) == 1
    old.end()


@in_loop
async def test_what_was_replaced_is_freed(tmp_path: Path) -> None:
    """Engine and sessions go with the last request, without the garbage collector's help."""
    rewrite(tmp_path, card="first")
    graphs: list[weakref.ref[object]] = []

    def remembering(bundle: Bundle) -> Loaded:
        loaded = load(bundle, "cpu", cores=1)
        graphs.extend((weakref.ref(loaded.encoder), weakref.ref(loaded.decoder)))
        return loaded

    subject = registry(tmp_path, load=remembering)
    await subject.open()
    engine = weakref.ref(subject.engine(None))
    await subject.engine(None).decode(LATENTS)
    rewrite(tmp_path, card="second")
    gc.disable()
    try:
        await subject.load("arithmetic")
        await until(lambda: engine() is None)
        await until(lambda: [graph() is None for graph in graphs] == [True, True, False, False])
    finally:
        gc.enable()
    await subject.unload("arithmetic")
    await until(lambda: all(graph() is None for graph in graphs))


@in_loop
async def test_no_request_fails_while_its_model_is_reloaded(tmp_path: Path) -> None:
    """Twenty reloads under concurrent requests, which hold what they found: all are answered."""
    rewrite(tmp_path, card="0")
    subject = registry(tmp_path)
    await subject.open()
    stop, answered = False, set[str]()

    async def ask() -> None:
        while not stop:
            engine = subject.engine(None)
            await asyncio.sleep(0)
            engine.begin()
            try:
                images = (await engine.decode(LATENTS)).outputs[0]
            finally:
                engine.end()
            assert not images.any()
            answered.add(engine.manifest.card)

    callers = [asyncio.create_task(ask()) for _ in range(8)]
    for number in range(1, 21):
        rewrite(tmp_path, card=str(number))
        if number % 2:
            await subject.load("arithmetic")
        else:
            subject.changed({"arithmetic"})
            await until(lambda number=number: card(subject) == str(number))  # type: ignore[misc]
        await until(lambda number=number: str(number) in answered)  # type: ignore[misc]
    stop = True
    await asyncio.gather(*callers)
    assert len(answered) == 21
    await subject.close()


@in_loop
async def test_names_that_there_are_not_are_not_kept(tmp_path: Path) -> None:
    """Loading by name of what nobody has leaves nothing behind."""
    subject = registry(tmp_path)
    await subject.open()
    for number in range(3):
        with pytest.raises(UnknownModelError):
            await subject.load(f"nope-{number}")
    assert not subject.models
    assert len(subject._locks) == 0
