"""Throughput and latency of the Open Inference Protocol with Triton's asynchronous client.

As in `perf_analyzer`, a fixed number of requests is in flight at any time, each for one row, and
each response is followed by the next request. The client is a single Python process. When it uses a
whole core, it limits the throughput itself.

    python -m benchmarks.load.oip
    python -m benchmarks.load.oip --kind decoder --json --concurrency 1 64
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tritonclient.http.aio as client
from rich.console import Console
from rich.table import Table

from benchmarks.exported import SHIPPED
from benchmarks.servers.ours import counted, running, vaeserve
from model.bundle.bundle import Bundle, open_bundle
from model.bundle.manifest import DERIVED_KINDS

CONCURRENCY = (1, 4, 16, 64)
_WARM_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Load:
    """A request for one row of a model, with tensors as JSON or as bytes in both directions."""

    bundle: Bundle
    kind: str
    binary: bool

    @property
    def model(self) -> str:
        return f"{self.bundle.manifest.name}-{self.kind}"

    def inputs(self) -> list[client.InferInput]:
        """The model's input with a row of noise."""
        manifest = self.bundle.manifest
        decoder = self.kind == "decoder"
        graph = manifest.decoder if decoder else manifest.encoder
        row = np.random.default_rng(7).random((1, *graph.inputs[0].shape), np.float32)
        made = client.InferInput("latent" if decoder else "image", list(row.shape), "FP32")
        made.set_data_from_numpy(row, binary_data=self.binary)
        return [made]

    def outputs(self) -> list[client.InferRequestedOutput] | None:
        """All outputs as bytes, or one as JSON."""
        name = "mean" if self.kind == "encoder" else "pixels"
        return None if self.binary else [client.InferRequestedOutput(name, binary_data=False)]


@dataclass(frozen=True, slots=True)
class Metrics:
    """The metrics of one number of requests in flight; latencies in milliseconds."""

    concurrency: int
    requests: int
    requests_per_second: float
    p50: float
    p99: float
    client_cores: float
    """CPU time of the client per second; near 1 the client is the limit."""


def metrics(
    concurrency: int, latencies: Sequence[float], seconds: float, cpu_seconds: float
) -> Metrics:
    """Summarises latencies in seconds."""
    p50, p99 = np.percentile(latencies, (50, 99)) * 1000
    rate = len(latencies) / seconds
    return Metrics(concurrency, len(latencies), rate, float(p50), float(p99), cpu_seconds / seconds)


async def measure(port: int, load: Load, concurrency: int, seconds: float) -> Metrics:
    """Keeps `concurrency` requests in flight for `seconds`, after a warm-up of a second.

    Raises:
        tritonclient.utils.InferenceServerException: a request was refused.
    """
    async with client.InferenceServerClient(f"127.0.0.1:{port}", conn_limit=concurrency) as server:
        await _ask(server, load, concurrency, min(seconds, _WARM_SECONDS))
        started, worked = time.perf_counter(), time.process_time()
        latencies = await _ask(server, load, concurrency, seconds)
        elapsed, used = time.perf_counter() - started, time.process_time() - worked
        return metrics(concurrency, latencies, elapsed, used)


async def _ask(
    server: client.InferenceServerClient, load: Load, concurrency: int, seconds: float
) -> list[float]:
    until = time.perf_counter() + seconds
    latencies: list[float] = []

    async def one() -> None:
        inputs, outputs = load.inputs(), load.outputs()
        while (started := time.perf_counter()) < until:
            await server.infer(load.model, inputs, outputs=outputs)
            latencies.append(time.perf_counter() - started)

    await asyncio.gather(*(one() for _ in range(concurrency)))
    return latencies


def table(load: Load, workers: int, rows: Sequence[Metrics]) -> Table:
    """The metrics as a table."""
    form = "bytes" if load.binary else "JSON"
    shown = Table(title=f"{load.model}, one row as {form}, {counted(workers, 'worker')}")
    for name in ("in flight", "requests/s", "p50 ms", "p99 ms", "requests", "client's cores"):
        shown.add_column(name, justify="right")
    for row in rows:
        shown.add_row(
            str(row.concurrency),
            f"{row.requests_per_second:,.0f}",
            f"{row.p50:.2f}",
            f"{row.p99:.2f}",
            f"{row.requests:,}",
            f"{row.client_cores:.2f}",
        )
    return shown


def main(arguments: Sequence[str] | None = None) -> None:
    """Starts the service, sends the requests, and prints a table."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.load.oip",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--bundle", type=Path, default=SHIPPED, help="folder of a bundle")
    parser.add_argument("--kind", choices=DERIVED_KINDS, default="encoder")
    parser.add_argument("--json", action="store_true", help="tensors as JSON instead of bytes")
    parser.add_argument("--concurrency", type=int, nargs="+", default=CONCURRENCY)
    parser.add_argument("--seconds", type=float, default=5.0, help="seconds of each concurrency")
    parser.add_argument("--workers", type=int, default=1, help="workers of the service")
    options = parser.parse_args(arguments)
    load = Load(open_bundle(options.bundle), options.kind, not options.json)
    with running(vaeserve(load.bundle, workers=options.workers)) as server:
        rows = [
            asyncio.run(measure(server.port, load, concurrency, options.seconds))
            for concurrency in options.concurrency
        ]
    Console().print(table(load, options.workers, rows))


if __name__ == "__main__":
    main()
