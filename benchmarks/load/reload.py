"""`python -m benchmarks.load.reload`: whether requests fail or memory grows while a model reloads.

An open-loop client sends 200 requests a second. Meanwhile the bundle in the repository is replaced
repeatedly, in turn by renaming a copy into its place and by rewriting its files in place. Each
replacement ends when every response comes from the new bundle. Every second reload is requested
over HTTP if the service allows that. The same load without reloads is measured first.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import orjson

from benchmarks.exported import find_bundle
from benchmarks.load import workloads
from benchmarks.load.arrivals import Arrivals
from benchmarks.load.open_loop import arrivals
from benchmarks.load.wrk import LoadError
from benchmarks.measure.processes import memory
from benchmarks.run import progress_on_stderr
from benchmarks.servers.ours import Server, ServerError, running, vaeserve
from model.bundle.bundle import MANIFEST, Bundle, BundleError, open_bundle

_MB = 1e6
_IN_A_ROW = 12
"""So many connections in a row must see the new bundle, which then serves in all workers."""
_TIMEOUT_SECONDS = 60.0
_SETTLE_SECONDS = 2.0
_WARM_RELOADS = 5
_REPORT_EVERY = 10


@dataclass(frozen=True, slots=True)
class Reloaded:
    """A load with reloads, and the same load without them."""

    reloads: int
    asked: int
    """Reloads that were requested over HTTP; the service found the others by watching."""
    seconds: float
    """The mean time from when a new bundle is written to when it serves everywhere."""
    rate: float
    quiet: Arrivals
    busy: Arrivals
    pss_before: int
    """Bytes after a few reloads, when allocators have created their arenas."""
    pss_after: int

    @property
    def failed(self) -> int:
        """Failed requests of both loads."""
        return self.quiet.errors + self.busy.errors


class Repository:
    """A folder with one bundle that can be replaced by a copy.

    Args:
        root: an empty folder.
        bundle: the bundle to serve; its copies differ in the manifest's `card`.
    """

    def __init__(self, root: Path, bundle: Bundle) -> None:
        self._root, self._files = root, tuple(bundle.manifest.files)
        self.name = bundle.manifest.name
        self._folder = root / self.name / "1"
        shutil.copytree(bundle.folder, self._folder)
        self.bundle = open_bundle(self._folder)

    def rename_into_place(self, card: str) -> None:
        """Renames a copy of the bundle into its place."""
        new, old = self._root / ".new", self._root / ".old"
        shutil.copytree(self._folder, new)
        self._write_manifest(new, card)
        self._folder.rename(old)
        new.rename(self._folder)
        shutil.rmtree(old)

    def write_in_place(self, card: str) -> None:
        """Rewrites each file in place, the manifest last."""
        for name in self._files:
            path = self._folder / name
            content = path.read_bytes()
            path.write_bytes(b"")
            path.write_bytes(content)
        self._write_manifest(self._folder, card)

    def _write_manifest(self, folder: Path, card: str) -> None:
        document = orjson.loads((folder / MANIFEST).read_bytes())
        (folder / MANIFEST).write_bytes(orjson.dumps(document | {"card": card}))


def measure(bundle: Bundle, *, reloads: int, rate: float, seconds: float) -> Reloaded:
    """Measures the load without reloads, then the same load with reloads spread over it.

    Raises:
        LoadError, ServerError: a part failed.
    """
    progress = progress_on_stderr()
    with tempfile.TemporaryDirectory(prefix="reload-") as folder:
        repository = Repository(Path(folder), bundle)
        system = replace(vaeserve(repository.bundle), environment={"VAE_REPOSITORY_API": "true"})
        with running(system) as server, ThreadPoolExecutor(1) as pool:
            sample = workloads.sample()
            progress(f"{rate:g} requests/s for {seconds:g} s")
            quiet = arrivals(server.url, sample, rate=rate, seconds=seconds)
            for number in range(_WARM_RELOADS):
                _reload(server, repository, f"warm {number}", number)
            time.sleep(_SETTLE_SECONDS)
            before = memory(server.pid).pss
            progress(f"the same with {reloads} reloads")
            busy = pool.submit(arrivals, server.url, sample, rate=rate, seconds=seconds)
            seen = _reload_all(server, repository, reloads, busy, seconds, progress)
            finished = busy.result()
            time.sleep(_SETTLE_SECONDS)
            after = memory(server.pid).pss
    asked, took = sum(one for one, _ in seen), sum(one for _, one in seen)
    return Reloaded(reloads, asked, took / reloads, rate, quiet, finished, before, after)


def _reload_all(
    server: Server,
    repository: Repository,
    reloads: int,
    busy: Future[Arrivals],
    seconds: float,
    progress: Callable[[str], None],
) -> list[tuple[bool, float]]:
    """Reloads at equal intervals; for each, whether it was requested, and the seconds it took."""
    started, seen = time.perf_counter(), []
    for number in range(reloads):
        time.sleep(max(0.0, started + number * seconds / reloads - time.perf_counter()))
        seen.append(_reload(server, repository, f"reload {number}", number))
        if number % _REPORT_EVERY == _REPORT_EVERY - 1:
            progress(f"{number + 1} reloads, PSS {memory(server.pid).pss / _MB:.1f} MB")
        if busy.done():
            progress(f"the load ended after {number + 1} reloads; use more --seconds")
    return seen


def _reload(server: Server, repository: Repository, card: str, number: int) -> tuple[bool, float]:
    put = repository.rename_into_place if number % 4 < 2 else repository.write_in_place
    put(card)
    started = time.perf_counter()
    asked = number % 2 == 1 and _load(server, repository.name)
    row = 0
    while row < _IN_A_ROW:
        row = row + 1 if _card(server, repository.name) == card else 0
        if time.perf_counter() - started > _TIMEOUT_SECONDS:
            raise ServerError(f"{card} did not serve within {_TIMEOUT_SECONDS:g} s")
        time.sleep(0.01)
    return asked, time.perf_counter() - started


def _load(server: Server, name: str) -> bool:
    """Requests the load; returns False if the service does not load on demand.

    Raises:
        ServerError: the service refused.
    """
    status, content = server.request("POST", f"/v2/repository/models/{name}/load")
    if status not in (200, 404):
        raise ServerError(f"the load failed with status {status}: {content[:200]!r}")
    return status == 200


def _card(server: Server, name: str) -> object:
    return orjson.loads(server.request("GET", f"/models/{name}")[1])["manifest"]["card"]


def summary(one: Reloaded) -> str:
    """Describes the run in a paragraph."""
    quiet, busy = one.quiet, one.busy
    return (
        f"{busy.requests} requests at {one.rate:g}/s over {busy.seconds:.0f} s with "
        f"{one.reloads} reloads ({one.asked} on demand, the others by watching; "
        f"{one.seconds * 1e3:.0f} ms each until it served in all workers): {busy.errors} failed; "
        f"p50 {_ms(busy.p50)}, p99 {_ms(busy.p99)}, longest {_ms(busy.longest)} ms. The same load "
        f"without reloads: {quiet.errors} failed; p50 {_ms(quiet.p50)}, p99 {_ms(quiet.p99)}, "
        f"longest {_ms(quiet.longest)} ms. PSS {one.pss_before / _MB:.1f} MB before the reloads, "
        f"{one.pss_after / _MB:.1f} MB after."
    )


def _ms(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints the result; returns 1 if a request failed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.load.reload", description=__doc__)
    parser.add_argument("--reloads", type=int, default=50)
    parser.add_argument("--rate", type=float, default=200, help="requests a second")
    parser.add_argument(
        "--seconds", type=float, default=60, help="seconds of each of the two loads"
    )
    parser.add_argument("--bundle", default="small", help="heavy, small, or a bundle's folder")
    options = parser.parse_args(arguments)
    try:
        _, bundle = find_bundle(options.bundle)
        measured = measure(
            bundle, reloads=options.reloads, rate=options.rate, seconds=options.seconds
        )
    except (BundleError, LoadError, ServerError) as error:
        print(f"reload: {error}", file=sys.stderr)
        return 1
    print(summary(measured))
    return 1 if measured.failed else 0


if __name__ == "__main__":
    sys.exit(main())
