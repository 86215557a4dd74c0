"""An upper limit: reading and writing one PNG file, without a server."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from app.codecs import images
from benchmarks.load.workloads import from_png, to_png
from benchmarks.measure.statistics import Statistics
from model.bundle.bundle import Bundle
from model.pixels import Images

_LEVELS = (0, 1, 6, 9)
_MAX_PIXELS = 1_000_000


@dataclass(frozen=True, slots=True)
class Coding:
    """One way to read or write an image."""

    name: str
    cpu: Statistics
    """Microseconds of CPU time for each image."""
    bytes: int
    """The file's size."""


def codings(bundle: Bundle, image: Images, *, rounds: int, seconds: float) -> list[Coding]:
    """Compares our codec with Pillow's on an image uint8 [h, w, c] of the model's size."""
    file = to_png(image)
    manifest = bundle.manifest
    ours = partial(
        images.decode,
        file,
        index=0,
        spec=manifest.input,
        preprocessing=manifest.preprocessing,
        max_pixels=_MAX_PIXELS,
    )
    encoders: dict[str, Callable[[], bytes]] = {"encode, vaeserve": partial(images.png, image)}
    for level in _LEVELS:
        encoders[f"encode, Pillow level {level}"] = partial(to_png, image, level)
    decoders: dict[str, Callable[[], object]] = {
        "decode, vaeserve (checked and fitted)": ours,
        "decode, Pillow": partial(from_png, file, image.shape[2]),
    }
    sizes = {name: len(encode()) for name, encode in encoders.items()}
    steps: dict[str, Callable[[], object]] = {**encoders, **decoders}
    runs = [{name: _cpu(step, seconds) for name, step in steps.items()} for _ in range(rounds)]
    return [
        Coding(name, Statistics.of([run[name] for run in runs]), sizes.get(name, len(file)))
        for name in steps
    ]


def _cpu(step: Callable[[], object], seconds: float) -> float:
    step()
    count, before = 0, time.process_time()
    deadline = time.perf_counter() + seconds
    while time.perf_counter() < deadline:
        step()
        count += 1
    return (time.process_time() - before) / count * 1e6
