"""Counts requests and batches of each model of the protocol, in one process since its start.

A batch counts after it ran, as in the metrics.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from starlette.requests import Request

from app.inference.batcher import BatchReport
from app.protocols.oip.model_names import Derived, Kind

PROGRAMS: dict[str, Kind] = {
    "encode_tensors": "encoder",
    "decode_tensors": "decoder",
    "reconstruct_tensors": "reconstruct",
}
"""The program behind each kind of model.

`encode_tensors` computes what `encode_floats` does in a separate batcher, so requests of the Remote
VAE protocol do not count here.
"""

Members = dict[str, object]


@dataclass(slots=True)
class Duration:
    """The number of events and their total duration."""

    count: int = 0
    ns: int = 0

    def add(self, seconds: float, count: int = 1) -> None:
        self.count += count
        self.ns += round(seconds * 1e9)

    def document(self) -> Members:
        return {"count": self.count, "ns": self.ns}


@dataclass(slots=True)
class ModelStatistics:
    """The statistics of one version of one model."""

    rows: int = 0
    executions: int = 0
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
        nothing = Duration().document()
        return {
            "name": name,
            "version": str(version),
            "last_inference": self.last_inference,
            "inference_count": self.rows,
            "execution_count": self.executions,
            "inference_stats": {
                "success": self.success.document(),
                "fail": self.fail.document(),
                "queue": self.queue.document(),
                "compute_input": self.input.document(),
                "compute_infer": self.run.document(),
                "compute_output": self.output.document(),
                "cache_hit": nothing,
                "cache_miss": nothing,
            },
            "batch_stats": [_batch(size, self.batches[size]) for size in sorted(self.batches)],
            "memory_usage": [],
            "response_stats": {},
        }


def _batch(size: int, run: Duration) -> Members:
    # Rows are joined and split during the run, so input and output take no time of their own.
    nothing = {"count": run.count, "ns": 0}
    return {
        "batch_size": size,
        "compute_input": nothing,
        "compute_infer": run.document(),
        "compute_output": nothing,
    }


class Statistics:
    """The statistics of all models in one process; only the event loop uses them.

    Args:
        clock: monotonic seconds.
        wall_clock: seconds since 1970.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], float] = time.perf_counter,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._clock = clock
        self._wall_clock = wall_clock
        self._models: dict[tuple[Derived, int], ModelStatistics] = {}

    def of(self, derived: Derived, version: int) -> ModelStatistics:
        """Returns the statistics of a version of a model, all 0 at first."""
        return self._models.setdefault((derived, version), ModelStatistics())

    def observe_batch(self, bundle: str, version: int, program: str, report: BatchReport) -> None:
        """Counts a batch that a model of the protocol ran."""
        if report.failed:
            return
        counted = self.of(Derived(bundle, PROGRAMS[program]), version)
        counted.rows += report.rows
        counted.executions += 1
        counted.last_inference = int(self._wall_clock() * 1000)
        counted.batches.setdefault(report.rows, Duration()).add(report.seconds)
        counted.queue.add(sum(report.queue_seconds), len(report.queue_seconds))
        counted.run.add(report.seconds, len(report.queue_seconds))

    @contextmanager
    def inference(self, derived: Derived, version: int) -> Iterator[ModelStatistics]:
        """Counts the block as a request; an exception counts as a failure."""
        counted, started = self.of(derived, version), self._clock()
        try:
            yield counted
        except BaseException:
            counted.fail.add(self._clock() - started)
            raise
        counted.success.add(self._clock() - started)


def statistics_of(request: Request) -> Statistics:
    """Returns the statistics that the factory keeps in `app.state.oip_statistics`."""
    statistics: Statistics = request.app.state.oip_statistics
    return statistics
