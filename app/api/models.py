"""The models and what their bundles store: manifest, posterior means of images, and the card.

Stored artefacts change only with the bundle, so each answer has an entity tag, and a caller that
already has it gets 304 (RFC 9110 §13.1.2). Callers must ask each time, since another version may
serve by then.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import numpy as np
import orjson
from fastapi import APIRouter, Request, Response

from app.api import openapi
from app.api.dependencies import Context, ContextDep
from app.api.schemas import ModelAnswer, ModelsAnswer, StoredLatentsAnswer, VersionAnswer
from app.api.verbs import VERBS
from app.codecs import npy
from app.errors import NotFoundError, UnknownModelError
from app.http.headers import JSON, NPY, accept_of, choose, lines
from app.http.parameters import target_of
from app.inference.engine import Engine
from app.registry.catalog import Model
from model.bundle.bundle import CARD
from model.bundle.posterior import POSTERIOR, Posterior
from model.bundle.scaling import scaling_of

router = APIRouter(tags=["Models"])

MARKDOWN = "text/markdown"
_STORED_ERRORS = (
    *("invalid_field", "not_acceptable", "not_found", "unknown_model", "unknown_version"),
    "model_unavailable",
)


@router.get("/models", summary="List the models")
async def list_models(context: ContextDep) -> ModelsAnswer:
    """Every model of the repository with the state of its versions."""
    models = [_describe(context, model) for model in context.registry.models.values()]
    return ModelsAnswer(default=context.registry.default_name, models=models)


@router.get(
    "/models/{name}", summary="Describe a model", responses=openapi.errors(("unknown_model",))
)
async def describe_model(name: str, context: ContextDep) -> ModelAnswer:
    """A model, with the manifest of the bundle that serves."""
    model = context.registry.models.get(name)
    if model is None:
        known = ", ".join(sorted(context.registry.models)) or "none"
        raise UnknownModelError(f"there is no model {name!r}; known: {known}", field="name")
    described = _describe(context, model)
    if model.engine is None:
        return described
    manifest = model.engine.manifest.model_dump(mode="json")
    return described.model_copy(update={"manifest": manifest})


@router.get(
    "/models/{name}/latents",
    summary="Posterior means of images",
    responses=openapi.responses(StoredLatentsAnswer, (JSON, NPY), _STORED_ERRORS),
    openapi_extra=openapi.VERSION_ONLY,
)
async def stored_latents(name: str, request: Request, context: ContextDep) -> Response:
    """Where images that the model was not trained on lie in its latent space, with labels."""
    media_type = choose(accept_of(request), (JSON, NPY))
    engine = context.registry.engine(name, target_of(request)[1])
    posterior = engine.bundle.posterior
    if posterior is None:
        msg = f"{engine.identity} stores no posterior means: its bundle lacks {POSTERIOR}"
        raise NotFoundError(msg, field="name")
    headers = _headers(engine, POSTERIOR, media_type)
    if _is_current(request, headers):
        return Response(status_code=304, headers=headers)
    size = posterior.means.size
    return await context.offload(size, _latents_response, engine, posterior, media_type, headers)


@router.get(
    "/models/{name}/card",
    summary="The model's card",
    responses={
        200: {"description": "Markdown", "content": {MARKDOWN: {"schema": {"type": "string"}}}},
        **openapi.errors(_STORED_ERRORS),
    },
    response_class=Response,
    openapi_extra=openapi.VERSION_ONLY,
)
async def card(name: str, request: Request, context: ContextDep) -> Response:
    """A page about the model: what it is, its data and recipe, its metrics and limits."""
    media_type = choose(accept_of(request), (MARKDOWN, "text/plain"))
    engine = context.registry.engine(name, target_of(request)[1])
    if engine.bundle.card is None:
        raise NotFoundError(f"{engine.identity} has no card: its bundle lacks {CARD}", field="name")
    headers = _headers(engine, CARD, media_type)
    if _is_current(request, headers):
        return Response(status_code=304, headers=headers)
    return Response(engine.bundle.card, headers=headers, media_type=media_type)


def _describe(context: Context, model: Model) -> ModelAnswer:
    engine = model.engine
    return ModelAnswer(
        name=model.name,
        default=model.name == context.registry.default_name,
        ready=engine is not None,
        serving=engine.version if engine else None,
        provider=engine.provider if engine else None,
        versions=[
            VersionAnswer(version=version.number, state=version.state, reason=version.reason)
            for version in model.versions
        ],
        verbs=_verbs(engine) if engine else [],
        stored=_stored(engine) if engine else [],
    )


def _verbs(engine: Engine) -> list[str]:
    """Those that the bundle has all of what they need."""
    native = [verb.name for verb in VERBS if verb.serves(engine.manifest)]
    remote = ["remote-vae/decode", "remote-vae/encode"] if engine.manifest.latent.is_map else []
    return native + remote


def _stored(engine: Engine) -> list[str]:
    """The paths below `/models/{name}` of what the bundle stores."""
    stored = {"latents": engine.bundle.posterior, "card": engine.bundle.card}
    return [name for name, content in stored.items() if content is not None]


def _headers(engine: Engine, file: str, media_type: str) -> dict[str, str]:
    """The headers of an answer made from a file of the bundle and its manifest, also of 304."""
    manifest = engine.manifest
    made_of = (engine.identity, manifest.files[file].sha256, str(manifest.posterior), media_type)
    return {
        "X-VAE-Model": engine.identity,
        "ETag": f'"{hashlib.sha256(repr(made_of).encode()).hexdigest()[:32]}"',
        "Cache-Control": "no-cache",
        "Vary": "Accept",
    }


def _is_current(request: Request, headers: Mapping[str, str]) -> bool:
    """Whether the caller already has the answer with these headers."""
    given = ",".join(lines(request.scope, b"if-none-match"))
    known = {one.strip().removeprefix("W/") for one in given.split(",")}
    return headers["ETag"] in known or "*" in known


def _latents_response(
    engine: Engine, posterior: Posterior, media_type: str, headers: Mapping[str, str]
) -> Response:
    """JSON, or the means as float32 [n, *latent_shape]; scaled as all latents are served."""
    means = scaling_of(engine.manifest.latent).served(posterior.means)
    if media_type == NPY:
        return Response(npy.dump(means), headers=headers, media_type=NPY)
    members = {
        "model": engine.name,
        "version": engine.version,
        "split": posterior.spec.split,
        "n": posterior.spec.n,
        "classes": posterior.spec.classes,
        "labels": posterior.labels,
        "latents": np.ascontiguousarray(means),
    }
    content = orjson.dumps(members, option=orjson.OPT_SERIALIZE_NUMPY)
    return Response(content, headers=headers, media_type=JSON)
