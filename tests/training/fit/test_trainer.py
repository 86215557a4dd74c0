"""Signals wait for the end of a step."""

from __future__ import annotations

import signal
from concurrent.futures import ThreadPoolExecutor

import pytest

from training.fit.trainer import stop_signals


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_collected(number: signal.Signals) -> None:
    """Ctrl-C and SIGTERM are noted instead of breaking a step; handlers are put back."""
    before = signal.getsignal(number)

    with stop_signals() as received:
        assert received == []
        signal.raise_signal(number)
        assert received == [number]

    assert signal.getsignal(number) is before


def test_the_second_ctrl_c_breaks() -> None:
    """Whoever presses Ctrl-C twice does not wait for the step to end."""
    with stop_signals() as received:
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)

    assert received == [signal.SIGINT]


def test_other_threads_receive_nothing() -> None:
    """In a thread, which can't take signals, a run simply trains on."""

    def collect() -> list[int]:
        with stop_signals() as received:
            return received

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(collect).result() == []
