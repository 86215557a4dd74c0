"""What a verb's rows went through; the figures behind `Server-Timing` and the metrics."""

from __future__ import annotations

from dataclasses import dataclass

from app.inference.batch import Answer


@dataclass(slots=True)
class Timing:
    """Seconds that a verb's rows waited and ran, summed over its stages."""

    queue: float = 0.0
    run: float = 0.0

    def add(self, answer: Answer) -> Answer:
        """Counts a stage and hands its answer on."""
        self.queue += answer.queue_seconds
        self.run += answer.run_seconds
        return answer

    @property
    def header(self) -> str:
        """The value of `Server-Timing`, in milliseconds."""
        return f"queue;dur={self.queue * 1e3:.3f}, run;dur={self.run * 1e3:.3f}"
