"""How long a run takes, by counting: two cores, as far as the seconds were not chosen."""

from __future__ import annotations

from collections.abc import Collection

from benchmarks.plans import Effort

_START = 5.0
"""A server's start, check and end, in the middle of fast ones and slow ones."""
_OWN_START = 2.0
_RESTLESS_START = 30.0
_PROCESS = 0.2
"""What a load generator takes to start and end."""


def minutes(effort: Effort, bundles: Collection[str], rivals: int, restless: int = 0) -> float:
    """A run of all the effort's parts.

    Args:
        effort: what is measured.
        bundles: their names.
        rivals: how many of them are loaded all at once.
        restless: how many more are loaded beside the service alone.
    """
    seconds = 0.0
    for name in bundles:
        parts = {
            "rest": _rest(effort, name, rivals, restless),
            "engine": 2 * 3 * len(effort.batches) * effort.engine_rounds * effort.engine_seconds,
            "starts": _starts(effort, name),
            "loads": _group(effort, name, rivals, _START)
            + restless * _group(effort, name, 1, _RESTLESS_START),
            "open": effort.open_rounds * (1 + 5 * effort.open_seconds + 6 * _PROCESS),
            "mixed": (1 + len(effort.workers))
            * effort.mixed_rounds
            * (2 * effort.mixed_seconds + 2 + 2 * _PROCESS),
        }
        seconds += sum(parts[part] for part in effort.parts if part in parts)
    return seconds / 60


def _rest(effort: Effort, bundle: str, rivals: int, restless: int) -> float:
    own = effort.rest_starts * (_OWN_START + effort.idle)
    if bundle not in effort.rest_rivals:
        return own
    each = rivals * (_START + effort.idle) + restless * (_RESTLESS_START + effort.idle)
    return own + effort.rest_rivals_starts * each


def _starts(effort: Effort, bundle: str) -> float:
    if bundle not in effort.starts_bundles:
        return 0.0
    return effort.starts * (_OWN_START + 1 + 2 * effort.seconds + 3 * _PROCESS)


def _group(effort: Effort, bundle: str, rivals: int, start: float) -> float:
    rows = effort.loads.get(bundle, effort.loads["heavy"])
    turns = effort.seconds + _PROCESS
    servers = 1 + rivals + 1
    seconds = _OWN_START + start * rivals
    seconds += len({workload for workload, _, _ in rows}) * servers * (effort.warm_up + _PROCESS)
    for workload, connections, rounds in rows:
        for number in connections:
            more = bool(effort.workers) and (workload, number) in effort.workers_at
            seconds += rounds * ((servers + more * len(effort.workers)) * turns + 0.5)
    return seconds
