"""An upper limit: the bundle's graphs in onnxruntime sessions, without a server."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from benchmarks.load.workloads import Verb
from benchmarks.measure.statistics import Statistics
from model import noise
from model.bundle.bundle import DECODER, ENCODER, Bundle
from model.noise import Purpose
from model.pixels import Floats
from model.runtime import Graph

BATCHES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
SET_UPS = ((1, 1), (1, 2), (2, 1))
"""(sessions, threads of each); several sessions run concurrently, in threads of this process."""
SIDE_BY_SIDE = (2, 1)
"""The set-up whose cost is subtracted from a server's."""

Step = Callable[[], object]


@dataclass(frozen=True, slots=True)
class Ceiling:
    """One graph at one batch size."""

    graph: str
    sessions: int
    threads: int
    batch: int
    images_per_second: Statistics
    cpu: Statistics
    """Microseconds of CPU time for each image."""


def ceilings(
    bundle: Bundle, *, rounds: int, seconds: float, batches: Sequence[int] = BATCHES
) -> list[Ceiling]:
    """Measures encoder and decoder at every batch size; the set-ups take turns in each round."""
    found: list[Ceiling] = []
    for file in (ENCODER, DECODER):
        content, rows = bundle.read(file), _rows(bundle, file, max(batches))
        graphs = {
            (sessions, threads): [Graph(content, threads=threads) for _ in range(sessions)]
            for sessions, threads in SET_UPS
        }
        name = file.removesuffix(".onnx")
        for batch in batches:
            found += _at_batch(name, graphs, rows[:batch], rounds, seconds)
    return found


def best_batch(found: Sequence[Ceiling], graph: str) -> int:
    """The batch size at which two concurrent sessions compute the most images."""
    side_by_side = [
        one for one in found if one.graph == graph and (one.sessions, one.threads) == SIDE_BY_SIDE
    ]
    return max(side_by_side, key=lambda one: one.images_per_second.median).batch


class Engine:
    """The network's own cost: concurrent sessions of one thread, each with its own graphs."""

    def __init__(self, bundle: Bundle) -> None:
        sessions, threads = SIDE_BY_SIDE
        self._encoders, self._decoders = (
            [Graph(bundle.read(file), threads=threads) for _ in range(sessions)]
            for file in (ENCODER, DECODER)
        )
        self._images, self._latents = _rows(bundle, ENCODER, 1), _rows(bundle, DECODER, 256)

    def measure(self, verb: Verb, batch: int, seconds: float) -> tuple[float, float]:
        """Images/s of both sessions together, and CPU microseconds an image.

        Only `sample` supports a batch above one.
        """
        latents = self._latents[:batch]
        pairs = zip(self._encoders, self._decoders, strict=True)
        steps = [self._step(verb, encoder, decoder, latents) for encoder, decoder in pairs]
        return run_for(steps, batch, seconds)

    def _step(self, verb: Verb, encoder: Graph, decoder: Graph, latents: Floats) -> Step:
        if verb == "sample":
            return lambda: decoder.run(latents, ["pixels"])
        if verb == "encode":
            return lambda: encoder.run(self._images)
        return lambda: decoder.run(encoder.run(self._images)[0], ["pixels"])


def _rows(bundle: Bundle, file: str, count: int) -> Floats:
    manifest = bundle.manifest
    shape = manifest.latent.shape if file == DECODER else manifest.encoder.inputs[0].shape
    # Images in [0, 1] are not normal; dense kernels take the same time for any finite value.
    return noise.standard_normal(0, Purpose.PRIOR, 0, count, shape)


def _at_batch(
    name: str,
    graphs: dict[tuple[int, int], list[Graph]],
    rows: Floats,
    rounds: int,
    seconds: float,
) -> list[Ceiling]:
    outputs = None if name == "encoder" else ["pixels"]

    def step(graph: Graph) -> Step:
        return lambda: graph.run(rows, outputs)

    steps = {set_up: [step(graph) for graph in group] for set_up, group in graphs.items()}
    for warm_up in itertools.chain(*steps.values()):
        warm_up()
    runs = [[run_for(group, len(rows), seconds) for group in steps.values()] for _ in range(rounds)]
    found = []
    for set_up, measured in zip(steps, zip(*runs, strict=True), strict=True):
        rates, cpu = (Statistics.of(values) for values in zip(*measured, strict=True))
        found.append(Ceiling(name, *set_up, len(rows), rates, cpu))
    return found


def run_for(steps: Sequence[Step], images: int, seconds: float) -> tuple[float, float]:
    """Repeats all steps concurrently; returns images/s, and CPU microseconds an image.

    `images` is the number of images that one step computes.
    """
    counts = [0] * len(steps)
    cpu_before, started = time.process_time(), time.perf_counter()
    deadline = started + seconds

    def work(index: int) -> None:
        while time.perf_counter() < deadline:
            steps[index]()
            counts[index] += images

    workers = [threading.Thread(target=work, args=(index,)) for index in range(1, len(steps))]
    for worker in workers:
        worker.start()
    work(0)
    for worker in workers:
        worker.join()
    total = sum(counts)
    elapsed = time.perf_counter() - started
    return total / elapsed, (time.process_time() - cpu_before) / total * 1e6
