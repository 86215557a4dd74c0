"""Several workers on one port: started, watched, replaced and stopped together.

Workers are forked, not executed: what the supervisor has imported is in memory once, and a worker
starts in a moment. A fork is safe only while the supervisor has a single thread. Each worker holds
one end of a channel. When the supervisor ends, for whatever reason, the channel closes and the
worker stops too.
"""

from __future__ import annotations

import gc
import logging
import os
import selectors
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from app.server.balancer import ConnectionBalancer, WorkerConnections
from app.server.relay import Relay
from app.server.signals import Signals
from app.server.worker import STARTED, Worker, WorkerHandle

logger = logging.getLogger("vaeserve")

FIRST_PAUSE = 0.5
LONGEST_PAUSE = 30.0
SOUND_SECONDS = 60.0
"""A worker that lived this long did not die for the reason that its predecessor did."""

STOP_MARGIN = 5.0
"""Seconds beyond the grace period after which a worker that has not stopped is killed."""


@dataclass(slots=True)
class Slot:
    """A worker's place: its process changes, its number does not."""

    number: int
    worker: WorkerHandle | None = None
    failures: int = 0
    """Deaths in a row."""
    due: float | None = 0.0
    """When to start the next process; None for not at all."""


class Supervisor:
    """Keeps `workers` processes alive.

    Args:
        workers: how many, at least 1.
        url: where they answer, for the log.
        grace: seconds that a worker's running requests get when it has to stop.

    Raises:
        SystemExit: the temporary folder can't be created.
    """

    def __init__(self, workers: int, url: str, grace: float) -> None:
        self._slots = [Slot(number) for number in range(1, workers + 1)]
        self._url = url
        self._patience = grace + STOP_MARGIN
        self._announced = self._started = False
        self._deadline: float | None = None
        self._status = 0
        try:
            self.shared = Path(tempfile.mkdtemp(prefix="vaeserve-"))
        except OSError as error:
            logger.error("several workers need a temporary folder (TMPDIR): %s", error)
            sys.exit(1)
        self._balancer = ConnectionBalancer(workers)
        self._relay = Relay()
        self._signals = Signals(signal.SIGTERM, signal.SIGINT, signal.SIGCHLD)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._signals, selectors.EVENT_READ)

    def run(self) -> Worker:
        """Starts the workers, and returns in each of them. The supervisor ends by SystemExit."""
        # A garbage collection would write to the memory pages that the workers share.
        gc.collect()
        gc.freeze()
        while True:
            for slot in self._slots:
                if slot.due is not None and slot.due <= time.monotonic():
                    worker = self._start(slot)
                    if worker is not None:
                        return worker
            if self._deadline is not None:
                self._finish(self._deadline)
            self._wait()
            self._reap()
            self._announce()

    def _workers(self) -> Iterator[WorkerHandle]:
        return (slot.worker for slot in self._slots if slot.worker is not None)

    def _start(self, slot: Slot) -> Worker | None:
        """Forks; returns the worker in the new process, and None in this one."""
        slot.due = None
        ours, theirs = socket.socketpair()
        with self._signals.blocked():
            try:
                pid = os.fork()
            except OSError as error:
                ours.close()
                theirs.close()
                self._decide(slot, f"could not be started ({error})", 1, lived=0.0, served=False)
                return None
            if pid == 0:
                ours.close()
                return self._become(slot, theirs)
        theirs.close()
        slot.worker = WorkerHandle(slot.number, pid, ours, time.monotonic())
        self._relay.add(slot.worker)
        self._selector.register(ours, selectors.EVENT_READ, slot.worker)
        return None

    def _become(self, slot: Slot, channel: socket.socket) -> Worker:
        self._selector.close()
        self._signals.close()
        # A channel stays open as long as any process holds its end.
        for other in self._workers():
            other.channel.close()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda number, frame: os._exit(0))
        worker = Worker(
            slot.number,
            channel,
            self.shared,
            WorkerConnections(self._balancer, slot.number),
            unloaded=frozenset(self._relay.unloaded),
            replaces=self._started,
            patience=self._patience,
        )
        worker.follow_supervisor()
        return worker

    def _wait(self) -> None:
        """Waits for a signal, a message of a worker, or the next time at which to act."""
        times = [slot.due for slot in self._slots if slot.due is not None]
        if self._deadline is not None:
            times.append(self._deadline)
        timeout = max(0.0, min(times) - time.monotonic()) if times else None
        for key in list(self._selector.get_map().values()):
            if key.data is not None:
                self._selector.modify(key.fileobj, key.data.events, key.data)
        for key, events in self._selector.select(timeout):
            if key.data is None:
                for number in self._signals.take():
                    if number != signal.SIGCHLD:
                        self._stop(number)
            elif events & selectors.EVENT_READ and not key.data.receive(self._relay.receive):
                self._selector.unregister(key.fileobj)
            else:
                key.data.flush()

    def _announce(self) -> None:
        workers = [worker for worker in self._workers() if worker.listening]
        if len(workers) < len(self._slots):
            return
        if not self._announced:
            self._announced = True
            logger.info("vaeserve running on %s with %d workers", self._url, len(workers))
        if not self._started and all(worker.ready for worker in workers):
            self._started = True
            logger.info("all workers are ready")
            for worker in workers:
                worker.send({"state": STARTED})

    def _reap(self) -> None:
        # Any child: as process 1 of a container, the supervisor inherits the children of others.
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            for slot in self._slots:
                if slot.worker is not None and slot.worker.pid == pid:
                    self._remove(slot, slot.worker, os.waitstatus_to_exitcode(status))

    def _remove(self, slot: Slot, worker: WorkerHandle, code: int) -> None:
        """Cleans up after a worker that has ended, and decides what comes next."""
        worker.receive(self._relay.receive)
        if worker.channel in self._selector.get_map():
            self._selector.unregister(worker.channel)
        worker.channel.close()
        slot.worker = None
        self._relay.remove(slot.number)
        self._balancer.redistribute(slot.number)
        # As prometheus_client's mark_process_dead does.
        for file in self.shared.glob(f"gauge_live*_{worker.pid}.db"):
            file.unlink(missing_ok=True)
        how = f"with status {code}" if code >= 0 else f"by {signal.Signals(-code).name}"
        how = f"(process {worker.pid}) ended {how}"
        lived = time.monotonic() - worker.born
        status = code if code >= 0 else 128 - code
        self._decide(slot, how, status, lived=lived, served=worker.listening)

    def _decide(self, slot: Slot, how: str, status: int, *, lived: float, served: bool) -> None:
        """Schedules a replacement, or stops all if a worker's first process never served."""
        if self._deadline is not None:
            self._status = self._status or status
        elif slot.failures == 0 and not served:
            logger.warning("worker %d %s before it served; stopping", slot.number, how)
            self._status = status or 1
            self._stop(signal.SIGTERM)
        else:
            slot.failures = 1 if lived >= SOUND_SECONDS else slot.failures + 1
            seconds = pause(slot.failures)
            slot.due = time.monotonic() + seconds
            logger.error("worker %d %s; the next one starts in %g s", slot.number, how, seconds)

    def _stop(self, number: int) -> None:
        """Asks all workers to stop; a second Ctrl-C asks them to stop at once."""
        hurried = self._deadline is not None and number == signal.SIGINT
        if self._deadline is None:
            self._deadline = time.monotonic() + self._patience
        for slot in self._slots:
            slot.due = None
        # A terminal sends its SIGINT to the workers too, where a second one would mean "at once".
        self._send(signal.SIGINT if hurried else signal.SIGTERM)

    def _finish(self, deadline: float) -> None:
        """Exits once no worker lives; kills those that live beyond the deadline."""
        if not any(self._workers()):
            shutil.rmtree(self.shared, ignore_errors=True)
            self._balancer.close()
            sys.exit(self._status)
        if time.monotonic() >= deadline:
            logger.error("workers did not stop within %g s and are killed", self._patience)
            self._deadline = time.monotonic() + self._patience
            self._send(signal.SIGKILL)

    def _send(self, number: int) -> None:
        for worker in self._workers():
            os.kill(worker.pid, number)


def pause(failures: int) -> float:
    """Seconds to wait before a worker is replaced, after so many deaths in a row, at least 1."""
    return min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(failures - 1, 16))
