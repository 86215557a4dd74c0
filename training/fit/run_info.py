"""Describes a run's images, network and machine, on the console and in `run.json`."""

from __future__ import annotations

from rich.console import Console

from model.networks.networks import parameter_count
from training.data.dataset import Data
from training.data.sources import source_name
from training.fit.compute import Compute, describe_machine, tool_versions
from training.fit.state import State
from training.fit.warm_start import Initial
from training.text import plain, printable


def announce(console: Console, data: Data, compute: Compute, state: State) -> None:
    """Prints sizes, threads and precision before the first step."""
    for name in data.skipped:
        console.print(
            plain(f"warning: left out, unreadable: {printable(name)}"),
            style="yellow",
            highlight=False,
            soft_wrap=True,
        )
    console.print(
        f"{len(data.train)} images to train on, {len(data.validation)} to validate, "
        f"{len(data.test)} to test; {parameter_count(state.vae)} parameters; "
        f"{compute.device.type}, {compute.threads} threads, {compute.precision}",
        highlight=False,
        soft_wrap=True,
    )


def describe(
    data: Data,
    compute: Compute,
    state: State,
    initial: Initial | None,
    *,
    total_steps: int,
    git_commit: str | None,
) -> dict[str, object]:
    """The content of `run.json`, for the steps so far."""
    return {
        # Stored now, because the folder may be gone later. A bundle must not contain its path.
        "data_id": source_name(state.config.data),
        "fingerprints": dict(data.fingerprints),
        "pictures": data.counts(),
        "machine": describe_machine(compute.device),
        "device": compute.device.type,
        "threads": compute.threads,
        "precision": compute.precision,
        "parameters": parameter_count(state.vae),
        "seconds": round(state.seconds, 1),
        "cpu_seconds": round(state.cpu_seconds, 1),
        "steps": state.step,
        "total_steps": total_steps,
        "tools": tool_versions(),
        "git_commit": git_commit,
        "init": dict(initial.about) if initial else None,
    }
