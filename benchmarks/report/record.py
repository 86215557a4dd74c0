"""What a run has found so far, kept after each of its parts."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping

from benchmarks.load.wrk import LoadError, NoAnswerError
from benchmarks.measure.agreement import AgreementError
from benchmarks.measure.machine import Watch, describe
from benchmarks.report.result import BundleResult, Result
from benchmarks.report.targets import OURS
from benchmarks.servers.ours import ServerError

UNDER_WAY = "the run went on, or was killed"


class Record:
    """A result that grows.

    Args:
        effort: its name.
        missing: by system that can't be had, why.
        keep: given the result after each part; what it keeps last is what is left of a run that
            is killed.
        say: told of who is left out.
    """

    def __init__(
        self,
        effort: str,
        missing: Mapping[str, str],
        keep: Callable[[Result], object],
        say: Callable[[str], None],
    ) -> None:
        self.settings: dict[str, str] = {}
        self.missing = dict(missing)
        self.bundles: dict[str, BundleResult] = {}
        self._effort, self._keep, self._say = effort, keep, say
        self._machine, self._watch = describe(), Watch()

    def part(self, bundle: str, name: str) -> None:
        """A part is measured as a whole, and with everybody."""
        parts = self.bundles[bundle].parts
        if name not in parts:
            parts.append(name)
        self.progress()

    def progress(self) -> None:
        """Keeps what there is."""
        self._keep(self.result(UNDER_WAY))

    @contextlib.contextmanager
    def forgiving(self, system: str) -> Iterator[None]:
        """A rival that fails in it is left out from here on. The service may not fail.

        Raises:
            AgreementError | LoadError | ServerError: as the service's failure was raised.
            NoAnswerError: whoever it is was too slow for one load, and may be fast enough for
                another.
        """
        try:
            yield
        except NoAnswerError:
            raise
        except (AgreementError, LoadError, ServerError) as error:
            if system.startswith(OURS):
                raise
            self._say(f"{system} is left out from here on: {error}")
            self.missing[system] = f"left out from where it failed: {error}"

    def result(self, ended_early: str = "") -> Result:
        """As it is now; `ended_early` says why there is no more."""
        # Until they have ended, servers would count among the processes of others.
        under_way = ended_early == UNDER_WAY
        return Result(
            machine=self._machine,
            disturbance=None if under_way else self._watch.disturbance(),
            effort=self._effort,
            settings=self.settings,
            missing=self.missing,
            bundles=self.bundles,
            ended_early=ended_early,
        )

    def ended(self, why: str = "") -> Result:
        """Keeps what there is for good; `why` is empty where all was measured."""
        result = self.result(why)
        self._keep(result)
        return result
