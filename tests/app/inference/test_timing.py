"""Timing: what the stages of a verb add up to."""

from __future__ import annotations

from app.inference.batch import Answer
from app.inference.timing import Timing


def test_adds_up_the_stages_and_hands_answers_on() -> None:
    """Waiting and running are summed over a verb's stages."""
    timing = Timing()
    first = Answer((), queue_seconds=0.5, run_seconds=0.25)
    assert timing.add(first) is first
    timing.add(Answer((), queue_seconds=1.0, run_seconds=0.5))
    assert (timing.queue, timing.run) == (1.5, 0.75)
