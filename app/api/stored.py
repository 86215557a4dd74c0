"""What a bundle keeps besides its graphs → responses: posterior means of images, and its card.

They change only with the bundle, so each answer has an entity tag, and who has it already gets 304
(RFC 9110 §13.1.2). It is to be asked for each time: another version may serve by then.
"""

from __future__ import annotations

import hashlib

import numpy as np
import orjson
from fastapi import Request, Response

from app.codecs import npy
from app.errors import NotFoundError
from app.http.headers import JSON, NPY, lines
from app.inference.engine import Engine
from model.bundle.bundle import CARD
from model.bundle.posterior import POSTERIOR, Posterior
from model.bundle.scaling import scaling_of

MARKDOWN = "text/markdown"
LATENTS, CARD_PAGE = "latents", "card"
"""What they are called below `/models/{name}`."""


def kept(engine: Engine) -> list[str]:
    """Which of them the bundle has."""
    bundle = engine.bundle
    there = {LATENTS: bundle.posterior is not None, CARD_PAGE: bundle.card is not None}
    return [name for name, is_there in there.items() if is_there]


def posterior_of(engine: Engine) -> Posterior:
    """The bundle's posterior means.

    Raises:
        NotFoundError: it has none.
    """
    posterior = engine.bundle.posterior
    if posterior is None:
        msg = f"{engine.identity} keeps no posterior means: it was bundled without {POSTERIOR}"
        raise NotFoundError(msg, field="name")
    return posterior


def card_of(engine: Engine) -> str:
    """The bundle's card.

    Raises:
        NotFoundError: it has none.
    """
    card = engine.bundle.card
    if card is None:
        msg = f"{engine.identity} has no card: it was bundled without {CARD}"
        raise NotFoundError(msg, field="name")
    return card


def tag(engine: Engine, file: str, media_type: str) -> str:
    """The entity tag of an answer made of one of the bundle's files and its manifest."""
    manifest = engine.manifest
    made_of = (engine.identity, manifest.files[file].sha256, str(manifest.posterior), media_type)
    return f'"{hashlib.sha256(repr(made_of).encode()).hexdigest()[:32]}"'


def headers(engine: Engine, entity_tag: str) -> dict[str, str]:
    """Those of every such answer, of 304 too."""
    return {
        "X-VAE-Model": engine.identity,
        "ETag": entity_tag,
        "Cache-Control": "no-cache",
        "Vary": "Accept",
    }


def has_it(request: Request, entity_tag: str) -> bool:
    """Whether the caller says that it has the answer already."""
    given = ",".join(lines(request.scope, b"if-none-match"))
    known = {one.strip().removeprefix("W/") for one in given.split(",")}
    return entity_tag in known or "*" in known


def latents(engine: Engine, posterior: Posterior, media_type: str, entity_tag: str) -> Response:
    """JSON, or the means as float32 [n, *latent_shape]; scaled as all latents are served."""
    means = scaling_of(engine.manifest.latent).served(posterior.means)
    if media_type == NPY:
        return Response(npy.dump(means), headers=headers(engine, entity_tag), media_type=NPY)
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
    return Response(content, headers=headers(engine, entity_tag), media_type=JSON)
