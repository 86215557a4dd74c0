"""The supervisor's part of loading and unloading models in every worker.

A caller's request reaches one worker, which sends an order. The relay passes it to every worker,
so all carry out the orders in the same sequence, and so it does with what they report. It keeps
which models are unloaded for workers that start later.
"""

from __future__ import annotations

from app.server.worker import Message, WorkerHandle


class Relay:
    """Passes the messages of each worker to all, and tells them which workers have died."""

    def __init__(self) -> None:
        self.unloaded: set[str] = set()
        """The models that a new worker must leave unloaded."""
        self._workers: dict[int, WorkerHandle] = {}

    def add(self, worker: WorkerHandle) -> None:
        """Sends this worker every message from now on."""
        self._workers[worker.number] = worker

    def remove(self, number: int) -> None:
        """Tells the others that a worker has died; its successor starts from `unloaded`."""
        self._workers.pop(number, None)
        self._send({"gone": number})

    def receive(self, number: int, message: Message) -> None:
        """Passes an order on, or the outcome of one, with its sender and who must carry it out."""
        match message:
            case {"name": name, "wanted": "unloaded"}:
                self.unloaded.add(name)
            case {"name": name}:
                self.unloaded.discard(name)
        self._send(message | {"sender": number, "workers": sorted(self._workers)})

    def _send(self, message: Message) -> None:
        for worker in self._workers.values():
            worker.send(message)
