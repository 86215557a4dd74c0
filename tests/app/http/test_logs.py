"""The log: lines that nothing in them can break."""

from __future__ import annotations

import json
import logging
import sys

from app.http.logs import JsonFormatter


def _record(message: str, **members: object) -> logging.LogRecord:
    record = logging.LogRecord("x", logging.INFO, __file__, 1, message, None, None)
    record.__dict__.update(members)
    return record


def test_no_message_forges_a_second_line() -> None:
    """Line breaks and quotes in a message stay inside the JSON string."""
    line = JsonFormatter().format(_record('one\n{"level": "error"}'))
    assert "\n" not in line
    assert json.loads(line)["message"] == 'one\n{"level": "error"}'


def test_what_is_no_unicode_is_logged_all_the_same() -> None:
    """A file name with a lone surrogate does not cost the line."""
    assert json.loads(JsonFormatter().format(_record("name \udcff")))["level"] == "info"


def test_an_exception_is_part_of_its_line() -> None:
    """A traceback is a member of the one line."""
    try:
        raise ValueError("why")
    except ValueError:
        line = JsonFormatter().format(_record("failed", exc_info=sys.exc_info()))
    assert "\n" not in line
    assert "ValueError: why" in json.loads(line)["exception"]


def test_a_worker_names_itself_in_each_line() -> None:
    """One of several workers is a member of its lines, the only process there is is none."""
    assert json.loads(JsonFormatter(worker=2).format(_record("x")))["worker"] == 2
    assert "worker" not in json.loads(JsonFormatter().format(_record("x")))
