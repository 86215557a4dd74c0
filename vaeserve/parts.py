"""A call's rows in as few requests as there is room in, and their answers put together."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from typing import TypeVar

import numpy as np

from app.codecs.npy import dump
from model.pixels import Floats
from vaeserve import parsing, pictures, results
from vaeserve.errors import ProblemError
from vaeserve.limits import Limits
from vaeserve.parsing import joined, parsed
from vaeserve.pictures import Pictures
from vaeserve.retries import Patience
from vaeserve.steps import Call, Reply, Steps

PartT = TypeVar("PartT", bound=results.Answer)

NPY = "application/x-npy"


class Parts:
    """Cuts rows into requests.

    Args:
        limits: of one request; learns from refusals.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits

    def of_pictures(
        self,
        path: str,
        images: Pictures,
        query: Mapping[str, str],
        patience: Patience,
        parse: Callable[[Reply], PartT],
        *,
        whole: bool,
    ) -> Steps[PartT]:
        """Sends pictures to a verb, in one request if it must be the `whole`.

        Raises:
            ValueError, TypeError: they are no pictures.
            ClientError: as `Patience.reply` raises; an index counts from the first of all.
        """
        pictures.check(images)
        parts: list[PartT] = []
        start = 0
        while start < len(images):
            files = tuple(self._fitting(path, pictures.files(images, start), whole=whole))
            try:
                reply = yield from patience.reply(Call(path, query=query, pictures=files))
            except ProblemError as problem:
                if not whole and self._limits.learn(problem, path, len(files)):
                    continue
                raise problem.behind(start) from problem.__cause__
            parts.append(parsed(reply, parse))
            start += len(files)
        return joined(parts)

    def of_latents(
        self, latents: Floats, query: Mapping[str, str], patience: Patience
    ) -> Steps[results.Decodings]:
        """Has latents decoded, float32 [n, *latent_shape].

        Raises:
            ValueError: they are none.
            ClientError: as for pictures.
        """
        path = "/decode"
        array = np.asarray(latents, dtype=np.float32)
        if array.ndim < 2 or not len(array):
            msg = f"latents are [n, *latent_shape] with n of at least 1, not {list(array.shape)}"
            raise ValueError(msg)
        parts: list[results.Decodings] = []
        start = 0
        while start < len(array):
            fitting = max(1, self._limits.body_bytes // (array[0].nbytes + 1))
            rows = array[start : start + min(fitting, self._limits.rows(path))]
            try:
                reply = yield from patience.reply(Call(path, NPY, query=query, npy=dump(rows)))
            except ProblemError as problem:
                if self._limits.learn(problem, path, len(rows)):
                    continue
                raise problem.behind(start) from problem.__cause__
            parts.append(parsed(reply, parsing.decodings))
            start += len(rows)
        return joined(parts)

    def _fitting(self, path: str, files: Iterator[bytes], *, whole: bool) -> Iterator[bytes]:
        """The files that one request has room for, at least one; all of them if it is `whole`."""
        if whole:
            yield from files
            return
        total = 0
        for count, file in enumerate(itertools.islice(files, self._limits.rows(path)), 1):
            total += len(file)
            if count > 1 and not self._limits.room_for(count, total):
                return
            yield file
