"""The supervisor's part of loading and unloading models in every worker.

A caller's request reaches one worker, which sends an order. The relay passes it to every worker,
so all carry out the orders in the same sequence, and reports to the asker who has done so. It keeps
which models are unloaded for workers that start later.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from app.server.worker import Message, WorkerHandle


@dataclass(slots=True)
class _Order:
    asker: int
    waiting: set[int]
    """The other workers that have yet to carry it out."""
    errors: list[str] = field(default_factory=list)


class Relay:
    """Passes orders from each worker to all, and their outcomes back to the worker that asked."""

    def __init__(self) -> None:
        self.unloaded: set[str] = set()
        """The models that a new worker must leave unloaded."""
        self._workers: dict[int, WorkerHandle] = {}
        self._orders: dict[str, _Order] = {}

    def add(self, worker: WorkerHandle) -> None:
        """Sends this worker every order from now on."""
        self._workers[worker.number] = worker

    def remove(self, number: int) -> None:
        """Stops waiting for a worker that has died; its successor starts from `unloaded`."""
        self._workers.pop(number, None)
        for key, order in list(self._orders.items()):
            if order.asker == number:
                del self._orders[key]
            else:
                self._finish(key, number, "")

    def receive(self, number: int, message: Message) -> None:
        """Handles an order, or the outcome of one, from the worker of this number."""
        match message:
            case {"order": key, "name": name, "wanted": wanted}:
                self.unloaded.discard(name)
                if wanted == "unloaded":
                    self.unloaded.add(name)
                self._orders[key] = _Order(number, self._workers.keys() - {number})
                for worker in self._workers.values():
                    worker.send(message)
                self._report(key)
            case {"done": key, "error": error}:
                self._finish(key, number, error)

    def _finish(self, key: str, number: int, error: str) -> None:
        order = self._orders.get(key)
        if order is not None and number in order.waiting:
            order.waiting.remove(number)
            if error:
                order.errors.append(f"worker {number} failed where others succeeded: {error}")
            self._report(key)

    def _report(self, key: str) -> None:
        order = self._orders[key]
        status = {"status": key, "waiting": sorted(order.waiting), "errors": order.errors}
        self._workers[order.asker].send(status)
        if not order.waiting:
            del self._orders[key]
