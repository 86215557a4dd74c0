"""The application as a whole: built from settings, begun and ended cleanly."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from pathlib import Path

import pytest

from app.factory import create_app
from app.inference.loader import Loaded
from app.server.balancer import ConnectionBalancer, WorkerConnections
from app.server.relay import Relay
from app.server.worker import Worker
from app.settings import Settings
from model.bundle.bundle import Bundle, BundleError
from tests import arithmetic_bundle
from tests.app.loops import in_loop
from tests.app.relayed import RelayedLink
from tests.app.serving import client_of, context_of, loaded, running, serving


def test_building_opens_nothing(tmp_path: Path) -> None:
    """Until its lifespan begins an application starts no thread and reads no bundle."""
    before = threading.active_count()
    app = create_app(Settings(repository=str(tmp_path / "absent")))
    assert threading.active_count() == before
    assert context_of(app).registry.models == {}


@in_loop
async def test_ends_without_leaving_tasks_or_threads(repository: Path) -> None:
    """After its lifespan nothing of the application runs any more."""
    threads = {thread.name for thread in threading.enumerate()}
    async with running(repository, max_n=4000) as app:
        await loaded(app)
        async with client_of(app) as client:
            await client.post("/sample", json={"n": 4000})
    left = {thread.name for thread in threading.enumerate()} - threads
    assert not any(name.startswith(("lane-", "offload")) for name in left)
    assert asyncio.all_tasks() == {asyncio.current_task()}


@in_loop
async def test_ends_while_its_models_are_loading(repository: Path) -> None:
    """A server that is told to stop at once does."""
    async with running(repository):
        pass


@in_loop
async def test_ends_though_a_model_never_loads(
    repository: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A load that hangs, as on a disk that does not answer, does not keep the server."""
    begun, release = threading.Event(), threading.Event()

    def hang(bundle: Bundle, **options: object) -> Loaded:
        begun.set()
        release.wait()
        msg = f"{bundle.folder}: nobody waits for it"
        raise BundleError(msg)

    monkeypatch.setattr("app.factory.load", hang)
    async with running(repository, shutdown_grace=0):
        await asyncio.to_thread(begun.wait)
    assert asyncio.all_tasks() == {asyncio.current_task()}
    assert "stopped while a model was loading" in caplog.text
    release.set()


@in_loop
async def test_serves_the_shipped_bundles_by_default() -> None:
    """Without a repository the roots are those of the package, and `mnist` is the default."""
    app = create_app(Settings())
    registry = context_of(app).registry
    [place] = registry._repository.places
    assert Path(place).parts[-2:] == ("model", "bundles")
    assert registry.default_name == "mnist"
    assert (Path(place) / "mnist").is_dir()


@in_loop
async def test_follows_its_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bundle that comes while the service runs is served, unless watching is off."""
    monkeypatch.setattr("app.registry.watcher._ABSENT_SECONDS", 0.01)
    monkeypatch.setattr("app.registry.watcher._LOOK_MS", 200)
    root = tmp_path / "later"
    async with running(root) as app, running(root, watch="off") as other, client_of(app) as client:
        await loaded(app)
        await loaded(other)
        arithmetic_bundle.write(root)
        while (await client.post("/sample")).status_code != 200:  # noqa: ASYNC110 as a client does
            await asyncio.sleep(0.01)
        assert not context_of(other).registry.models
    assert asyncio.all_tasks() == {asyncio.current_task()}


@in_loop
async def test_workers_do_what_one_of_them_is_told(repository: Path, tmp_path: Path) -> None:
    """What is unloaded and loaded through one application is so in the other."""
    relay = Relay()
    async with contextlib.AsyncExitStack() as stack:
        registries = []
        balancer = ConnectionBalancer(2)
        stack.callback(balancer.close)
        for number in (1, 2):
            channel, end = socket.socketpair()
            stack.callback(channel.close)
            stack.callback(end.close)
            connections = WorkerConnections(balancer, number)
            worker = Worker(number, channel, tmp_path, connections, replaces=False, patience=60)
            link = RelayedLink(relay, number)
            monkeypatch = stack.enter_context(pytest.MonkeyPatch.context())
            monkeypatch.setattr(worker, "send", link.send)
            monkeypatch.setattr(worker, "messages", link.messages)
            app = create_app(Settings(repository=str(repository), workers=2), worker)
            await stack.enter_async_context(app.router.lifespan_context(app))
            await loaded(app)
            registries.append(context_of(app).registry)
        first, second = registries
        await first.unload("arithmetic")
        assert second.models["arithmetic"].versions[0].state == "unloaded"
        await second.load("arithmetic")
        assert first.engine(None).version == 1


@in_loop
async def test_settings_reach_the_parts(repository: Path) -> None:
    """Limits and the number of lanes are those of the settings."""
    async with running(repository, max_n=2, max_elbo_samples=3, queue_pixels=77) as app:
        await loaded(app)
        context = context_of(app)
        assert context.service.admission.capacity == 77
        async with client_of(app) as client:
            refused = await client.post("/sample", json={"n": 3})
    assert (refused.status_code, refused.json()["bound"]) == (422, 2)


@in_loop
async def test_only_batches_of_the_inference_protocol_count_in_its_statistics(
    repository: Path,
) -> None:
    """A verb of the service runs the same graph without a trace there."""
    async with serving(repository) as client:
        assert (await client.post("/decode", json={"latents": [[1, 0]]})).status_code == 200
        latent = {"name": "latent", "shape": [1, 2], "datatype": "FP32", "data": [1, 0]}
        answer = await client.post("/v2/models/arithmetic-decoder/infer", json={"inputs": [latent]})
        assert answer.status_code == 200
        (entry,) = (await client.get("/v2/models/arithmetic-decoder/stats")).json()["model_stats"]
    assert entry["execution_count"] == 1
