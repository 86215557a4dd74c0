"""The ceiling: the bundle's graphs in onnxruntime sessions as they are served, and nothing else."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.spread import Spread, spread
from model import noise
from model.bundle import DECODER, ENCODER, Bundle
from model.noise import Purpose
from model.pixels import Floats
from model.runtime import Graph

BATCHES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
SET_UPS = ((1, 1), (1, 2), (2, 1))
"""(sessions, threads of each); several sessions run at once, in threads of this process."""


@dataclass(frozen=True, slots=True)
class Ceiling:
    """One graph at one batch size."""

    graph: str
    sessions: int
    threads: int
    batch: int
    images_per_second: Spread
    cpu: Spread
    """Microseconds of CPU time for each image."""


def ceilings(
    bundle: Bundle, *, rounds: int, seconds: float, batches: Sequence[int] = BATCHES
) -> list[Ceiling]:
    """Measures encoder and decoder at every batch size; the set-ups take turns in each round."""
    latent_shape = bundle.manifest.latent.shape
    image_shape = bundle.manifest.encoder.inputs[0].shape
    found: list[Ceiling] = []
    for file, shape in ((ENCODER, image_shape), (DECODER, latent_shape)):
        # Images in [0, 1] are not normal; dense kernels take the same time for any finite value.
        rows = noise.standard_normal(0, Purpose.PRIOR, 0, max(batches), shape)
        graphs = {
            (sessions, threads): _graphs(bundle.read(file), sessions, threads)
            for sessions, threads in SET_UPS
        }
        for batch in batches:
            found.extend(
                _at_batch(file.removesuffix(".onnx"), graphs, rows[:batch], rounds, seconds)
            )
    return found


def _graphs(content: bytes, sessions: int, threads: int) -> list[Graph]:
    return [Graph(content, threads=threads) for _ in range(sessions)]


def _at_batch(
    name: str,
    graphs: dict[tuple[int, int], list[Graph]],
    rows: Floats,
    rounds: int,
    seconds: float,
) -> list[Ceiling]:
    for graph in itertools.chain(*graphs.values()):
        graph.run(rows)
    runs = [[run_for(group, rows, seconds) for group in graphs.values()] for _ in range(rounds)]
    return [
        Ceiling(
            graph=name,
            sessions=sessions,
            threads=threads,
            batch=len(rows),
            images_per_second=spread([rate for rate, _ in measured]),
            cpu=spread([cpu for _, cpu in measured]),
        )
        for (sessions, threads), measured in zip(graphs, zip(*runs, strict=True), strict=True)
    ]


def run_for(graphs: Sequence[Graph], rows: Floats, seconds: float) -> tuple[float, float]:
    """Runs every graph at once, again and again: images/s, and CPU microseconds an image."""
    counts = [0] * len(graphs)
    cpu_before, started = time.process_time(), time.perf_counter()
    deadline = started + seconds

    def work(index: int) -> None:
        while time.perf_counter() < deadline:
            graphs[index].run(rows)
            counts[index] += len(rows)

    workers = [threading.Thread(target=work, args=(index,)) for index in range(1, len(graphs))]
    for worker in workers:
        worker.start()
    work(0)
    for worker in workers:
        worker.join()
    images = sum(counts)
    elapsed = time.perf_counter() - started
    return images / elapsed, (time.process_time() - cpu_before) / images * 1e6
