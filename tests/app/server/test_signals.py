"""Signals as something to wait for: none is lost, and in their order."""

from __future__ import annotations

import select
import signal
from collections.abc import Iterator

import pytest

from app.server.signals import Signals


@pytest.fixture(name="signals")
def _signals() -> Iterator[Signals]:
    taken = Signals(signal.SIGUSR1, signal.SIGUSR2)
    yield taken
    taken.close()


def readable(signals: Signals) -> bool:
    return bool(select.select([signals], [], [], 0)[0])


def test_signals_can_be_waited_for(signals: Signals) -> None:
    """Readable when a signal came, until it was taken."""
    assert not readable(signals)
    assert signals.take() == b""
    signal.raise_signal(signal.SIGUSR1)
    signal.raise_signal(signal.SIGUSR2)
    assert readable(signals)
    assert list(signals.take()) == [signal.SIGUSR1, signal.SIGUSR2]
    assert not readable(signals)


def test_held_signals_come_afterwards(signals: Signals) -> None:
    """A signal that comes while they are held is not lost, and comes after it."""
    with signals.blocked():
        signal.raise_signal(signal.SIGUSR1)
        assert signals.take() == b""
    assert list(signals.take()) == [signal.SIGUSR1]


def test_closing_gives_the_signals_their_defaults() -> None:
    """Afterwards they do again what they do to every process."""
    Signals(signal.SIGUSR1).close()
    assert signal.getsignal(signal.SIGUSR1) == signal.SIG_DFL
    assert signal.set_wakeup_fd(-1) == -1
