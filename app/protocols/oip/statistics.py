"""Counts requests and batches of each model of the protocol, in one process since its start.

A batch counts after it ran, as in the metrics.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field

from starlette.requests import Request

from app.inference.batcher import BatchReport
from app.protocols.oip.model_names import Derived
from app.protocols.oip.tensors import Members


@dataclass(slots=True)
class Duration:
    """The number of events and their total duration."""

    count: int = 0
    ns: int = 0

    def add(self, seconds: float, count: int = 1) -> None:
        self.count += count
        self.ns += round(seconds * 1e9)


@dataclass(slots=True)
class ModelStatistics:
    """The statistics of one version of one model."""

    last_inference: int = 0
    """Milliseconds since 1970."""
    success: Duration = field(default_factory=Duration)
    fail: Duration = field(default_factory=Duration)
    queue: Duration = field(default_factory=Duration)
    run: Duration = field(default_factory=Duration)
    input: Duration = field(default_factory=Duration)
    output: Duration = field(default_factory=Duration)
    batches: dict[int, Duration] = field(default_factory=dict)
    """By the number of rows."""

    def document(self, name: str, version: int) -> Members:
        """The protocol's entry of `model_stats`."""
        batches = sorted(self.batches.items())
        inference = {
            "success": self.success,
            "fail": self.fail,
            "queue": self.queue,
            "compute_input": self.input,
            "compute_infer": self.run,
            "compute_output": self.output,
            "cache_hit": Duration(),
            "cache_miss": Duration(),
        }
        return {
            "name": name,
            "version": str(version),
            "last_inference": self.last_inference,
            "inference_count": sum(rows * run.count for rows, run in batches),
            "execution_count": sum(run.count for _, run in batches),
            "inference_stats": {key: asdict(value) for key, value in inference.items()},
            "batch_stats": [_batch(rows, run) for rows, run in batches],
            "memory_usage": [],
            "response_stats": {},
        }


def _batch(rows: int, run: Duration) -> Members:
    # Rows are joined and split during the run, so input and output take no time of their own.
    nothing = asdict(Duration(run.count))
    return {
        "batch_size": rows,
        "compute_input": nothing,
        "compute_infer": asdict(run),
        "compute_output": nothing,
    }


class Statistics:
    """The statistics of all models in one process; only the event loop uses them."""

    def __init__(self) -> None:
        self._models: dict[tuple[Derived, int], ModelStatistics] = {}

    def of(self, derived: Derived, version: int) -> ModelStatistics:
        """Returns the statistics of a version of a model, all 0 at first."""
        return self._models.setdefault((derived, version), ModelStatistics())

    def observe_batch(self, derived: Derived, version: int, report: BatchReport) -> None:
        """Counts a batch that a model of the protocol ran."""
        if report.failed:
            return
        counted = self.of(derived, version)
        counted.last_inference = int(time.time() * 1000)
        counted.batches.setdefault(report.rows, Duration()).add(report.seconds)
        counted.queue.add(sum(report.queue_seconds), len(report.queue_seconds))
        counted.run.add(report.seconds, len(report.queue_seconds))

    @contextmanager
    def inference(self, derived: Derived, version: int) -> Iterator[ModelStatistics]:
        """Counts the block as a request; an exception counts as a failure."""
        counted, started = self.of(derived, version), time.perf_counter()
        try:
            yield counted
        except BaseException:
            counted.fail.add(time.perf_counter() - started)
            raise
        counted.success.add(time.perf_counter() - started)


def statistics_of(request: Request) -> Statistics:
    """Returns the statistics that the factory keeps in `app.state.oip_statistics`."""
    statistics: Statistics = request.app.state.oip_statistics
    return statistics
