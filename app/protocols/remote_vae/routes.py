"""diffusers' Remote VAE protocol, as `diffusers.utils.remote_utils` speaks it."""

from __future__ import annotations

import numpy as np
from fastapi import APIRouter, Request, Response

from app.api import openapi
from app.api.dependencies import Context, context_of
from app.api.verbs import fit_images
from app.errors import InvalidFieldError, InvalidImageError
from app.http.body import Body, read_body
from app.http.deadline import Deadline
from app.http.headers import accept_of
from app.http.parameters import target_of
from app.http.routing import VerbRoute
from app.inference.admission import Permit
from app.inference.engine import Engine
from app.protocols.remote_vae import openapi as remote_openapi
from app.protocols.remote_vae import responses, tensors, verbs
from app.protocols.remote_vae.query import DecodeQuery, decode_query, encode_query
from app.protocols.remote_vae.responses import JPEG, PNG, TENSOR
from model.images.fitting import Fitted
from model.pixels import Floats

router = APIRouter(tags=["Remote VAE"], route_class=VerbRoute)

_DECODE_ERRORS = (*openapi.VERB_ERRORS, "unsupported_by_model")
_ENCODE_ERRORS = (*openapi.VERB_ERRORS, *openapi.IMAGE_ERRORS, "unsupported_by_model")


@router.post(
    "/remote-vae/decode",
    summary="Decode latents for diffusers' remote_decode",
    response_class=Response,
    responses=remote_openapi.responses((TENSOR, JPEG, PNG), _DECODE_ERRORS),
    openapi_extra=remote_openapi.decode(),
)
async def decode(request: Request) -> Response:
    """A bare tensor of latents [n, c, h, w] → pixels as a tensor, or one image."""
    context = context_of(request)
    engine = _engine(request, context)
    query = decode_query(request)
    as_file = query.output_type == "pil" and TENSOR not in (accept_of(request) or "").lower()
    with (
        Deadline(request, context.settings.timeout) as deadline,
        context.service.permit() as permit,
    ):
        body = await _body(request, context, deadline)
        latents = await context.offload(
            len(body.content),
            tensors.latents,
            body.content,
            query,
            engine.manifest,
            context.settings.max_n,
        )
        if as_file or (query.output_type == "pt" and query.partial_postprocess):
            return await _shown(context, engine, permit, latents, query, as_file=as_file)
        decoded, timing = await verbs.decode(engine, permit, latents)
        return await context.offload(
            decoded.size,
            responses.pixels,
            engine,
            decoded,
            timing,
            query.dtype,
            denormalised=query.output_type == "pil",
        )


@router.post(
    "/remote-vae/encode",
    summary="Encode images for diffusers' remote_encode",
    response_class=Response,
    responses=remote_openapi.responses((TENSOR,), _ENCODE_ERRORS),
    openapi_extra=remote_openapi.encode(),
)
async def encode(request: Request) -> Response:
    """An image file, or with `shape` a bare tensor [n, c, h, w] → latents as a tensor."""
    context = context_of(request)
    engine = _engine(request, context)
    query = encode_query(request)
    with (
        Deadline(request, context.settings.timeout) as deadline,
        context.service.permit() as permit,
    ):
        body = await _body(request, context, deadline)
        if query.shape is None:
            fitted = await _fitted(context, engine, body.content)
            encoded = await context.service.encode(engine, permit, fitted.pixels[np.newaxis])
            mean, timing = verbs.check_mean(encoded.mean), encoded.timing
        else:
            pixels = await context.offload(
                len(body.content),
                tensors.pixels,
                body.content,
                query,
                engine.manifest,
                context.settings.max_n,
            )
            mean, timing = await verbs.encode(engine, permit, pixels)
        return await context.offload(
            mean.size, responses.latents, engine, mean, timing, query.scaling, query.dtype
        )


async def _shown(
    context: Context,
    engine: Engine,
    permit: Permit,
    latents: Floats,
    query: DecodeQuery,
    *,
    as_file: bool,
) -> Response:
    """Images of 8 bits: a tensor of them, or one as a file."""
    if as_file and len(latents) > 1:
        msg = (
            f"output_type pil answers one image, and {len(latents)} latents came; "
            "send one, or ask for output_type=pt"
        )
        raise InvalidFieldError(msg, field="output_type")
    result = await context.service.decode(engine, permit, latents)
    decoded, timing = result.images, result.timing
    if not as_file:
        return await context.offload(decoded.size, responses.images, engine, decoded, timing)
    media_type = PNG if query.image_format == "png" else JPEG
    return await context.offload(
        decoded.size, responses.image, engine, decoded[0], timing, media_type
    )


def _engine(request: Request, context: Context) -> Engine:
    return verbs.choose(context.registry, *target_of(request))


async def _body(request: Request, context: Context, deadline: Deadline) -> Body:
    # Images come without Content-Type here, and no body is JSON.
    body = await read_body(request, context.settings.max_body_bytes)
    deadline.body_is_complete()
    return body


async def _fitted(context: Context, engine: Engine, file: bytes) -> Fitted:
    """The image as the model takes it.

    Raises:
        InvalidImageError: there is no file.
        ServiceError: as `fit_images` raises.
    """
    if not file:
        msg = "image 0: the body is empty; send an image file, or a tensor with its shape"
        raise InvalidImageError(msg, field="body", index=0)
    (fitted,) = await fit_images(context, engine, [file])
    return fitted
