"""Which models there are, and what the serving bundles say of themselves."""

from __future__ import annotations

from fastapi import APIRouter

from app import openapi
from app.context import Context, ContextDep
from app.engine import Engine
from app.errors import UnknownModelError
from app.remote_verbs import has_maps
from app.schemas import ModelAnswer, ModelsAnswer, VersionAnswer
from app.versions import Model

router = APIRouter(tags=["Models"])

VERBS = ("sample", "encode", "decode", "reconstruct", "interpolate", "score")
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
    )


def _verbs(engine: Engine) -> list[str]:
    """Those that the bundle has all of what they need."""
    scored = engine.manifest.likelihood is not None
    native = [verb for verb in VERBS if scored or verb != "score"]
    return [*native, *REMOTE_VERBS] if has_maps(engine) else native
