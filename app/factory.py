"""`create_app`: the only place where the parts are chosen and joined."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Coroutine
from functools import cache, partial
from importlib.metadata import version
from typing import Any

from fastapi import FastAPI
from fastapi_offline import FastAPIOffline
from starlette.exceptions import HTTPException

from app.api import health, models, openapi
from app.api.dependencies import Context, Worker
from app.api.verb import Document
from app.api.verbs import VERBS, router_of
from app.concurrency import Offload
from app.errors import ServiceError
from app.http import problems
from app.http.access_log import AccessLines, AccessLog
from app.http.body_limit import BodyLimit
from app.http.routing import HeadAsGet, VerbDispatch
from app.inference.admission import Admission
from app.inference.batcher import BatchReport
from app.inference.engine import Engine
from app.inference.executor import Lanes
from app.inference.loader import Loaded, load
from app.inference.service import Service
from app.metrics import Metrics
from app.protocols.oip import routes as oip
from app.protocols.oip.model_names import PROGRAMS, Derived
from app.protocols.oip.statistics import Statistics
from app.protocols.remote_vae import routes as remote_vae
from app.registry.broadcast import Broadcast
from app.registry.registry import Registry
from app.registry.repository import SHIPPED_DEFAULT, Repository
from app.registry.watcher import watch
from app.settings import Settings
from model.cores import available_cores

logger = logging.getLogger(__name__)

_Following = list[Callable[[], Coroutine[Any, Any, None]]]

LOADING_GRACE = 3.0
"""Seconds that a model which is loading is waited for when the server stops."""

_DESCRIPTION = """\
Variational autoencoders over HTTP: draw images from the prior, encode images to latents,
decode latents, reconstruct images and measure the error, show the way between two images, and
estimate how likely images are.

`Accept` selects the response format: JSON, `image/png`, `application/x-npy` and more. Every
error is a problem document (RFC 9457) with a `code`. Log lines include its `X-Request-ID`.
"""


def create_app(settings: Settings, worker: Worker | None = None) -> FastAPI:
    """The application; models are loaded when its lifespan begins, beside the first requests."""
    workers = settings.workers or 1
    cores = -(-available_cores() // workers)
    lanes = Lanes(settings.lanes or cores)
    offload = Offload(cores)
    metrics = Metrics(worker.shared, ready=worker.is_waiting) if worker else Metrics()
    admission = Admission(settings.queue_pixels)
    decoding = Admission(max(settings.decode_pixels // workers, settings.max_picture_pixels))
    max_buffered_bytes = max(settings.max_buffered_bytes // workers, settings.max_body_bytes)
    inflated = Admission(max_buffered_bytes)
    statistics = Statistics()
    repository = Repository(settings.repository_roots, settings.cache_folder)
    shipped = "" if settings.repository_roots else SHIPPED_DEFAULT
    registry = Registry(
        repository,
        default=settings.default_model or shipped,
        required=settings.required_names,
        load=partial(load, wanted=settings.provider, cores=cores),
        start=partial(_start, lanes, metrics, statistics),
        broadcast=Broadcast(worker, timeout=settings.timeout) if worker else None,
    )
    service = Service(
        admission,
        offload,
        max_n=settings.max_n,
        max_stream_n=settings.max_stream_n,
        max_elbo_samples=settings.max_elbo_samples,
    )
    context = Context(settings, registry, service, offload, decoding, inflated, metrics, worker)
    metrics.watch(lambda: admission.used, partial(_is_ready, registry, worker))

    app = FastAPIOffline(
        title="vaeserve",
        version=version("vaeserve"),
        summary="Variational autoencoder inference",
        description=_DESCRIPTION,
        redoc_url=None,
        # A redirect would drop the body of many clients and trust the Host header.
        redirect_slashes=False,
        lifespan=partial(_lifespan, context, lanes, _following(settings, repository, registry)),
    )
    app.state.context = context
    app.state.oip_statistics = statistics
    _add_openapi(app, registry)
    _add_handlers(app)
    # Not by include_router: it matches routers and then routes again.
    others = (oip, remote_vae, models, health)
    for router in (router_of(VERBS), *(module.router for module in others)):
        app.router.routes.extend(router.routes)
    # The last one added is the outermost.
    app.add_middleware(VerbDispatch, routes=app.routes)
    app.add_middleware(
        BodyLimit,
        max_body_bytes=settings.max_body_bytes,
        max_buffered_bytes=max_buffered_bytes,
    )
    app.add_middleware(HeadAsGet)
    lines = AccessLines(worker.number if worker else 0)
    app.add_middleware(AccessLog, observe=metrics.observe_request, lines=lines)
    return app


@contextlib.asynccontextmanager
async def _lifespan(
    context: Context, lanes: Lanes, following: _Following, app: FastAPI
) -> AsyncIterator[None]:
    registry, worker = context.registry, context.worker
    # Beside the server, which is live at once and says on /readyz what it waits for.
    opening = asyncio.create_task(registry.open())
    beside = [asyncio.create_task(_keep_up(following, opening))]
    if worker:
        report = worker.report(opening, lambda: not registry.problems(), context.metrics.refresh)
        beside.append(asyncio.create_task(report))
    if worker and worker.replaces:
        # The others answer meanwhile, so connections come to this one once it can serve them.
        await asyncio.wait({opening})
    try:
        yield
    finally:
        registry.halt()
        for task in beside:
            task.cancel()
        await asyncio.gather(*beside, return_exceptions=True)
        await _end(opening, min(LOADING_GRACE, context.settings.shutdown_grace))
        await registry.close()
        lanes.close()
        context.offload.close()


async def _keep_up(following: _Following, opening: asyncio.Task[None]) -> None:
    """Once the models are open, follows changes of their folders and orders to other workers."""
    await asyncio.wait({opening})
    await asyncio.gather(*(begin() for begin in following))


async def _end(opening: asyncio.Task[None], grace: float) -> None:
    """Waits for what is loading, but not for ever: a disk may never answer."""
    await asyncio.wait({opening}, timeout=grace)
    if opening.cancel():
        logger.warning("stopped while a model was loading, which did not end in %g s", grace)
    await asyncio.gather(opening, return_exceptions=True)


def _start(lanes: Lanes, metrics: Metrics, statistics: Statistics, loaded: Loaded) -> Engine:
    kinds = {program: kind for kind, program in PROGRAMS.items()}

    def observer(program: str) -> Callable[[BatchReport], None]:
        count = partial(metrics.observe_batch, loaded.name, program)
        if program not in kinds:
            return count
        derived = Derived(loaded.name, kinds[program])

        def count_twice(report: BatchReport) -> None:
            count(report)
            statistics.observe_batch(derived, loaded.version, report)

        return count_twice

    return Engine(loaded, lanes, observer)


def _is_ready(registry: Registry, worker: Worker | None) -> bool:
    """Whether `vae_ready` is 1 here: the models serve, or the other workers still answer alone."""
    return not registry.problems() or (worker is not None and worker.is_waiting)


def _following(settings: Settings, repository: Repository, registry: Registry) -> _Following:
    """What the registry follows once it is open."""
    poll = settings.watch == "poll"
    watched = repository.watched if settings.watch != "off" else []
    return [partial(watch, folder, registry.changed, poll=poll) for folder in watched]


def _add_handlers(app: FastAPI) -> None:
    app.add_exception_handler(ServiceError, problems.on_service_error)
    app.add_exception_handler(HTTPException, problems.on_http_exception)


def _add_openapi(app: FastAPI, registry: Registry) -> None:
    @cache
    def base() -> Document:
        return openapi.document(app, VERBS)

    def document() -> dict[str, Any]:
        model = registry.models.get(registry.default_name or "")
        engine = model.engine if model else None
        shape = engine.manifest.smallest_latent if engine else (openapi.EXAMPLE_LATENT_DIM,)
        return openapi.with_examples(base(), VERBS, shape)

    app.openapi = document  # type: ignore[method-assign]  # FastAPI's documented way
