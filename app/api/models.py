"""Which models there are, and what the serving bundles say of themselves."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from app.api import openapi, stored
from app.api.dependencies import Context, ContextDep
from app.api.schemas import ModelAnswer, ModelsAnswer, StoredLatentsAnswer, VersionAnswer
from app.api.stored import MARKDOWN
from app.errors import UnknownModelError
from app.http.headers import JSON, NPY, accept_of, choose
from app.http.parameters import target_of
from app.inference.engine import Engine
from app.protocols.remote_vae.verbs import has_maps
from app.registry.versions import Model
from model.bundle.bundle import CARD
from model.bundle.posterior import POSTERIOR

router = APIRouter(tags=["Models"])

VERBS = ("sample", "encode", "decode", "reconstruct", "interpolate", "score")
_STORED_ERRORS = (
    *("invalid_field", "not_acceptable", "not_found", "unknown_model", "unknown_version"),
    "model_unavailable",
)
REMOTE_VERBS = ("remote-vae/decode", "remote-vae/encode")
"""Those for latent maps alone."""


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
        known = ", ".join(sorted(context.registry.models)) or "none yet"
        raise UnknownModelError(f"there is no model {name!r}; there is {known}", field="name")
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
    posterior = stored.posterior_of(engine)
    tag = stored.tag(engine, POSTERIOR, media_type)
    if stored.has_it(request, tag):
        return Response(status_code=304, headers=stored.headers(engine, tag))
    size = posterior.means.size
    return await context.offload(size, stored.latents, engine, posterior, media_type, tag)


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
    """A page about the model: what it is, its data and recipe, its figures, its limits."""
    media_type = choose(accept_of(request), (MARKDOWN, "text/plain"))
    engine = context.registry.engine(name, target_of(request)[1])
    text = stored.card_of(engine)
    tag = stored.tag(engine, CARD, media_type)
    if stored.has_it(request, tag):
        return Response(status_code=304, headers=stored.headers(engine, tag))
    return Response(text, headers=stored.headers(engine, tag), media_type=media_type)


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
        stored=stored.kept(engine) if engine else [],
    )


def _verbs(engine: Engine) -> list[str]:
    """Those that the bundle has all of what they need."""
    scored = engine.manifest.likelihood is not None
    native = [verb for verb in VERBS if scored or verb != "score"]
    return [*native, *REMOTE_VERBS] if has_maps(engine) else native
