"""Several workers on one port: started, watched, replaced and ended together.

Workers are forked, not executed: what the supervisor has imported is in memory once, and a worker
starts in a moment. That is safe as long as the supervisor has no thread but its first. Each worker
holds one end of a channel. When the supervisor ends in whatever way, the channel closes, and the
worker follows.
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
from dataclasses import dataclass
from pathlib import Path

from app.server.balancer import Balance, Share
from app.server.signals import Signals
from app.server.worker import STARTED, Child, Worker

logger = logging.getLogger("vaeserve")

FIRST_PAUSE = 0.5
LONGEST_PAUSE = 30.0
SOUND_SECONDS = 60.0
"""A worker that lived for so long did not end for the reason that the last one did."""

STOP_MARGIN = 5.0
"""Seconds beyond the grace period after which a worker that does not end is killed."""


@dataclass(slots=True)
class Slot:
    """A worker's place; its process changes, its number does not."""

    number: int
    child: Child | None = None
    failures: int = 0
    """Ends in a row."""
    due: float | None = 0.0
    """When the next process is started, if one is to be."""


class Supervisor:
    """Keeps `workers` processes alive; `run` returns in each of them, and in no other.

    Args:
        workers: how many, at least 1.
        url: where they answer, for the log.
        grace: seconds that a worker's running requests get when it is told to stop.

    Raises:
        SystemExit: there is no place for temporary files.
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
        self._balance = Balance(workers)
        self._signals = Signals(signal.SIGTERM, signal.SIGINT, signal.SIGCHLD)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._signals, selectors.EVENT_READ)

    def run(self) -> Worker:
        """Returns in every worker, as that worker; the supervisor itself leaves by SystemExit."""
        # Collections would write to the pages that the workers share.
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

    def _start(self, slot: Slot) -> Worker | None:
        """Forks; the worker in the new process, None in this one."""
        slot.due = None
        ours, theirs = socket.socketpair()
        with self._signals.held():
            try:
                pid = os.fork()
            except OSError as error:
                ours.close()
                theirs.close()
                self._settle(slot, f"could not be started ({error})", 1, lived=0.0, served=False)
                return None
            if pid == 0:
                ours.close()
                return self._become(slot, theirs)
        theirs.close()
        slot.child = Child(pid, ours, time.monotonic())
        self._selector.register(ours, selectors.EVENT_READ, slot.child)
        return None

    def _become(self, slot: Slot, channel: socket.socket) -> Worker:
        self._selector.close()
        self._signals.close()
        # An end that another worker holds would keep a channel open.
        for other in self._slots:
            if other.child is not None:
                other.child.channel.close()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda number, frame: os._exit(0))
        worker = Worker(
            slot.number,
            channel,
            self.shared,
            Share(self._balance, slot.number),
            replaces=self._started,
            patience=self._patience,
        )
        worker.follow()
        return worker

    def _wait(self) -> None:
        """Returns when a signal came, a worker said something, or the next time has come."""
        times = [slot.due for slot in self._slots if slot.due is not None]
        if self._deadline is not None:
            times.append(self._deadline)
        timeout = max(0.0, min(times) - time.monotonic()) if times else None
        for key, _ in self._selector.select(timeout):
            if key.data is not None:
                if not key.data.hear():
                    self._selector.unregister(key.fileobj)
                continue
            for number in self._signals.take():
                if number != signal.SIGCHLD:
                    self._stop(number)

    def _announce(self) -> None:
        children = [slot.child for slot in self._slots if slot.child and slot.child.listening]
        if len(children) < len(self._slots):
            return
        if not self._announced:
            self._announced = True
            logger.info("vaeserve running on %s with %d workers", self._url, len(children))
        if not self._started and all(child.ready for child in children):
            self._started = True
            logger.info("all workers are ready")
            for child in children:
                child.tell(STARTED)

    def _reap(self) -> None:
        # Any child: as process 1 of a container this one inherits what others leave behind.
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            for slot in self._slots:
                if slot.child is not None and slot.child.pid == pid:
                    self._bury(slot, slot.child, os.waitstatus_to_exitcode(status))

    def _bury(self, slot: Slot, child: Child, code: int) -> None:
        """Forgets a process that has ended, and settles what comes after it."""
        child.hear()
        if child.channel in self._selector.get_map():
            self._selector.unregister(child.channel)
        child.channel.close()
        slot.child = None
        self._balance.bury(slot.number)
        # As prometheus_client's mark_process_dead does.
        for file in self.shared.glob(f"gauge_live*_{child.pid}.db"):
            file.unlink(missing_ok=True)
        how = f"with status {code}" if code >= 0 else f"by {signal.Signals(-code).name}"
        how = f"(process {child.pid}) ended {how}"
        lived = time.monotonic() - child.born
        self._settle(
            slot, how, code if code >= 0 else 128 - code, lived=lived, served=child.listening
        )

    def _settle(self, slot: Slot, how: str, status: int, *, lived: float, served: bool) -> None:
        """Has the worker replaced; or ends all, when it was its first process and never served."""
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
            logger.error("worker %d %s; the next one in %g s", slot.number, how, seconds)

    def _stop(self, number: int) -> None:
        """Tells all workers to stop; a second Ctrl-C tells them to hurry."""
        hurried = self._deadline is not None and number == signal.SIGINT
        if self._deadline is None:
            self._deadline = time.monotonic() + self._patience
        for slot in self._slots:
            slot.due = None
        # A terminal sends its SIGINT to the workers too, and a second one would hurry them.
        self._send(signal.SIGINT if hurried else signal.SIGTERM)

    def _finish(self, deadline: float) -> None:
        """Leaves when no worker lives any more."""
        if not any(slot.child for slot in self._slots):
            shutil.rmtree(self.shared, ignore_errors=True)
            self._balance.close()
            sys.exit(self._status)
        if time.monotonic() >= deadline:
            logger.error("workers did not stop within %g s and are killed", self._patience)
            self._deadline = time.monotonic() + self._patience
            self._send(signal.SIGKILL)

    def _send(self, number: int) -> None:
        for slot in self._slots:
            if slot.child is not None:
                slot.child.signal(number)


def pause(failures: int) -> float:
    """Seconds to wait before a worker is replaced, after so many ends in a row, at least 1."""
    return min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(failures - 1, 16))
