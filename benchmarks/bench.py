"""What a run measures, and of whom."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from benchmarks.plans import Effort, Selection
from benchmarks.servers.ours import System, vaeserve
from model.bundle.bundle import Bundle


@dataclass(frozen=True, slots=True)
class Bench:
    """What to measure, and of which systems."""

    effort: Effort
    selection: Selection
    rivals: Callable[[Bundle], Sequence[System]]
    """Everything that the service is compared with."""
    progress: Callable[[str], None]

    def wants(self, *parts: str) -> bool:
        """Whether any of these parts is selected."""
        return bool(set(parts) & set(self.selection.parts_of(self.effort)))

    def systems(self, bundle: Bundle) -> list[System]:
        """The service first, with its numbers of workers, and its selected rivals."""
        rivals = [one for one in self.rivals(bundle) if self.selection.takes_system(one.name)]
        return [*self.ours(bundle), *rivals]

    def ours(self, bundle: Bundle) -> list[System]:
        """The service with its defaults, and with the numbers of workers that are measured."""
        workers = (vaeserve(bundle, workers=number) for number in self.effort.workers)
        return [vaeserve(bundle), *workers]
