"""A worker's process as its supervisor sees it."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator

import pytest

from app.server.child import Child
from app.server.worker import LISTENING, READY, STARTED


@pytest.fixture(name="ends")
def _ends() -> Iterator[tuple[Child, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield Child(os.getpid(), ours, 0.0), theirs


def test_a_child_is_what_it_says(ends: tuple[Child, socket.socket]) -> None:
    """It is listening and ready once it has said so, in whatever order and pieces."""
    child, worker = ends
    assert child.hear()
    assert (child.listening, child.ready) == (False, False)
    worker.send(READY)
    assert child.hear()
    assert (child.listening, child.ready) == (False, True)
    worker.send(LISTENING)
    assert child.hear()
    assert (child.listening, child.ready) == (True, True)


def test_the_last_words_of_a_child_are_heard(ends: tuple[Child, socket.socket]) -> None:
    """What it said before it ended counts; then it can say no more, and need not listen."""
    child, worker = ends
    worker.send(LISTENING)
    worker.close()
    assert child.hear()
    assert child.listening
    assert not child.hear()
    child.tell(STARTED)


def test_a_child_that_left_words_unread_has_ended(ends: tuple[Child, socket.socket]) -> None:
    """An end in the middle of a word to it is an end like any other."""
    child, worker = ends
    child.tell(STARTED)
    worker.close()
    assert not child.hear()
