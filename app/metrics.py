"""All Prometheus metrics of the service: names, labels and buckets."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from app.inference.batcher import BatchReport

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256)

_FILES = {
    "counter": 1 << 16,
    "histogram": 1 << 18,
    "gauge_livesum": 1 << 16,
    "gauge_livemin": 1 << 16,
}
"""The names of prometheus_client's files, and more bytes than their labels will need."""


class Metrics:
    """The metrics of one server process, in their own registry.

    Args:
        shared: folder in which several processes combine their metrics: the value of
            PROMETHEUS_MULTIPROC_DIR when prometheus_client was imported.
        ready: the value of `vae_ready` until `refresh`; other processes see it at once.
    """

    def __init__(self, shared: Path | None = None, *, ready: bool = False) -> None:
        self._shared = shared
        if shared:
            _reserve(shared)
        self.registry = CollectorRegistry()
        counter = partial(Counter, registry=self.registry)
        histogram = partial(Histogram, registry=self.registry, buckets=_SECONDS)
        gauge = partial(Gauge, registry=self.registry)
        of_batch = ("model", "program")
        self._requests = counter("vae_requests", "Answered requests.", ("route", "status"))
        self._request_seconds = histogram(
            "vae_request_seconds",
            "Seconds from a request's headers to the end of its response.",
            ("route",),
        )
        self._batch_rows = histogram(
            "vae_batch_rows", "Rows of each batch that ran.", of_batch, buckets=_ROWS
        )
        self._batch_seconds = histogram(
            "vae_batch_seconds", "Seconds that each batch ran.", of_batch
        )
        self._queue_seconds = histogram(
            "vae_queue_seconds", "Seconds that each call's first row waited for a lane.", of_batch
        )
        self._failed_batches = counter("vae_batches_failed", "Batches that failed.", of_batch)
        self._cut_answers = counter(
            "vae_answers_cut", "Streamed responses that were cut off.", ("route", "code")
        )
        # Several processes report the sum or the minimum over the living ones.
        self._queued_pixels = gauge(
            "vae_queued_pixels", "Pixels of admitted requests in work.", multiprocess_mode="livesum"
        )
        self._ready = gauge(
            "vae_ready", "1 when every required model serves.", multiprocess_mode="livemin"
        )
        self._ready.set(ready)
        # Finding a child by its labels takes longer than counting.
        self._of_requests: dict[tuple[str, int], tuple[Counter, Histogram]] = {}
        self._of_batches: dict[tuple[str, str], tuple[Histogram, Histogram, Histogram]] = {}
        self._watched: list[tuple[Gauge, Callable[[], float]]] = []

    def watch(self, queued_pixels: Callable[[], float], ready: Callable[[], float]) -> None:
        """Sets the functions that the gauges read."""
        self._watched = [(self._queued_pixels, queued_pixels), (self._ready, ready)]

    def observe_request(self, route: str, status: int, seconds: float) -> None:
        """Counts one answered request."""
        found = self._of_requests.get((route, status))
        if found is None:
            children = (
                self._requests.labels(route, str(status)),
                self._request_seconds.labels(route),
            )
            found = self._of_requests[route, status] = children
        answered, duration = found
        answered.inc()
        duration.observe(seconds)

    def observe_batch(self, model: str, program: str, report: BatchReport) -> None:
        """Counts one batch that a model's program ran."""
        if report.failed:
            self._failed_batches.labels(model, program).inc()
        found = self._of_batches.get((model, program))
        if found is None:
            metrics = self._batch_rows, self._batch_seconds, self._queue_seconds
            rows, ran, waited = (metric.labels(model, program) for metric in metrics)
            found = self._of_batches[model, program] = rows, ran, waited
        rows, ran, waited = found
        rows.observe(report.rows)
        ran.observe(report.seconds)
        for seconds in report.queue_seconds:
            waited.observe(seconds)

    def observe_cut(self, route: str, code: str) -> None:
        """Counts one response that was cut off after it began, by its error code."""
        self._cut_answers.labels(route, code).inc()

    def refresh(self) -> None:
        """Updates this process's gauges; other processes see the values of its last update."""
        for gauge, ask in self._watched:
            gauge.set(ask())

    def render(self) -> bytes:
        """Returns the Prometheus text format, for all processes that share the folder."""
        self.refresh()
        if self._shared is None:
            return generate_latest(self.registry)
        together = CollectorRegistry()
        MultiProcessCollector(together, str(self._shared))  # type: ignore[no-untyped-call]
        return generate_latest(together)


def _reserve(folder: Path) -> None:
    """Reserves disk space for this process's files.

    prometheus_client maps sparse files into memory. On a full disk, the first write to a new page
    would kill the process.

    Raises:
        OSError: the disk is full.
    """
    for name, size in _FILES.items():
        with (folder / f"{name}_{os.getpid()}.db").open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, size)
