"""Writes each log record as one line of JSON to standard output."""

from __future__ import annotations

import json
import logging
import sys

import orjson

TIME_FORMAT = "%Y-%m-%dT%H:%M:%S%z"


def log_as_json(level: str, *, worker: int = 0) -> None:
    """Configures all loggers to write records of at least `level`; may be called again.

    Args:
        level: the name of a level, in upper or lower case.
        worker: the `worker` number in each line; 0 leaves it out.
    """
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonFormatter(worker))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    # watchfiles logs every batch of file changes, even those that affect no model.
    logging.getLogger("watchfiles").setLevel(max(logging.WARNING, logging.getLogger().level))


class JsonFormatter(logging.Formatter):
    """Formats a record as one line of JSON, so no message can forge a second line."""

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
        except orjson.JSONEncodeError:  # a file name may contain invalid Unicode
            return json.dumps(line, default=str)
