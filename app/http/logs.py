"""The log: each record as one line of JSON on standard output."""

from __future__ import annotations

import json
import logging
import sys

import orjson

TIME_FORMAT = "%Y-%m-%dT%H:%M:%S%z"


def log_as_json(level: str, *, worker: int = 0) -> None:
    """Has all loggers write to standard output from `level` on; may be called again.

    Args:
        level: a level's name, in any case.
        worker: the number that each line names as its `worker`, or 0 for none.
    """
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonFormatter(worker))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    # It counts every batch of file changes, among them those that concern no model.
    logging.getLogger("watchfiles").setLevel(max(logging.WARNING, logging.getLogger().level))


class JsonFormatter(logging.Formatter):
    """Each record as one line of JSON, so that no message can forge a second line."""

    def __init__(self, worker: int = 0) -> None:
        super().__init__()
        self._own = {"worker": worker} if worker else {}

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": self.formatTime(record, TIME_FORMAT),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **self._own,
            **getattr(record, "members", {}),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        try:
            return orjson.dumps(line, default=str).decode()
        except orjson.JSONEncodeError:  # a file name may hold what is no Unicode
            return json.dumps(line, default=str)
