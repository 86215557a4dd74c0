"""diffusers' Remote VAE protocol, as `diffusers.utils.remote_utils` speaks it."""

from __future__ import annotations

import numpy as np
from fastapi import APIRouter, Request, Response

from app.api import openapi
from app.api.dependencies import Context, context_of
from app.api.requests import IMAGE_TYPES
from app.api.verbs import fit_images
from app.errors import InvalidFieldError, InvalidImageError
from app.http.body import read_body
from app.http.deadline import Deadline
from app.http.headers import accept_of
from app.http.parameters import target_of
from app.http.routing import VerbRoute
from app.inference.windows import whole
from app.protocols.remote_vae import openapi as remote_openapi
from app.protocols.remote_vae import responses, tensors, verbs
from app.protocols.remote_vae.query import DecodeQuery, EncodeQuery, decode_query, encode_query
from app.protocols.remote_vae.responses import JPEG, PNG, TENSOR

router = APIRouter(tags=["Remote VAE"], route_class=VerbRoute)

_DECODE_ERRORS = (*openapi.VERB_ERRORS, "unsupported_by_model")
_ENCODE_ERRORS = (*openapi.VERB_ERRORS, *openapi.IMAGE_ERRORS, "unsupported_by_model")


@router.post(
    "/remote-vae/decode",
    summary="Decode latents for diffusers' remote_decode",
    response_class=Response,
    responses=remote_openapi.responses((TENSOR, JPEG, PNG), _DECODE_ERRORS),
    openapi_extra=remote_openapi.operation(DecodeQuery, (TENSOR,)),
)
async def decode(request: Request) -> Response:
    """A bare tensor of latents [n, c, h, w] → pixels as a tensor, or one image."""
    context = context_of(request)
    offload, settings = context.offload, context.settings
    engine = verbs.choose(context.registry, *target_of(request))
    query = decode_query(request)
    as_file = query.output_type == "pil" and TENSOR not in (accept_of(request) or "").lower()
    with Deadline(request, settings.timeout) as deadline, context.service.permit() as permit:
        body, timing = await _body(request, context, deadline), permit.timing
        latents = await offload(
            len(body), tensors.latents, body, query, engine.manifest, settings.max_n
        )
        if as_file and len(latents) > 1:
            msg = (
                f"output_type=pil returns one image, got {len(latents)} latents; "
                "send one, or use output_type=pt"
            )
            raise InvalidFieldError(msg, field="output_type")
        if as_file or (query.output_type == "pt" and query.partial_postprocess):
            images, _ = await whole(await context.service.decode(engine, permit, latents))
            if not as_file:
                return await offload(images.size, responses.tensor, engine, images, timing, "uint8")
            media_type = PNG if query.image_format == "png" else JPEG
            return await offload(
                images.size, responses.image, engine, images[0], timing, media_type
            )
        pixels = await verbs.decode(engine, permit, latents)
        clamped = query.output_type == "pil"
        return await offload(
            pixels.size, responses.pixels, engine, pixels, timing, query.dtype, clamped
        )


@router.post(
    "/remote-vae/encode",
    summary="Encode images for diffusers' remote_encode",
    response_class=Response,
    responses=remote_openapi.responses((TENSOR,), _ENCODE_ERRORS),
    openapi_extra=remote_openapi.operation(EncodeQuery, (*IMAGE_TYPES, TENSOR)),
)
async def encode(request: Request) -> Response:
    """An image file, or with `shape` a bare tensor [n, c, h, w] → latents as a tensor."""
    context = context_of(request)
    offload, settings = context.offload, context.settings
    engine = verbs.choose(context.registry, *target_of(request))
    query = encode_query(request)
    with Deadline(request, settings.timeout) as deadline, context.service.permit() as permit:
        body, timing = await _body(request, context, deadline), permit.timing
        if query.shape is None:
            if not body:
                msg = "image 0: the body is empty; send an image file, or a tensor with its shape"
                raise InvalidImageError(msg, field="body", index=0)
            (fitted,) = await fit_images(context, engine, [body])
            mean, _ = await context.service.encode(engine, permit, fitted.pixels[np.newaxis])
            verbs.check_mean(mean)
        else:
            pixels = await offload(
                len(body), tensors.pixels, body, query, engine.manifest, settings.max_n
            )
            mean = await verbs.encode(engine, permit, pixels)
        return await offload(
            mean.size, responses.latents, engine, mean, timing, query.scaling, query.dtype
        )


async def _body(request: Request, context: Context, deadline: Deadline) -> bytes:
    # Images come without Content-Type here, and no body is JSON.
    body = await read_body(request, context.settings.max_body_bytes)
    deadline.body_is_complete()
    return body.content
