"""How a sweep's trials are proposed and pruned, in optuna's terms."""

from __future__ import annotations

import json
from pathlib import Path

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.storages.journal import JournalFileBackend

from training.sweep.spec import Range, Sweep

_STUDY = "sweep"


def open_study(sweep: Sweep, folder: Path) -> optuna.Study:
    """The folder's study, begun or gone on with; all of it is in `journal.log`."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage = optuna.storages.JournalStorage(JournalFileBackend(str(folder / "journal.log")))
    warmup = sweep.pruning_warmup
    pruner: optuna.pruners.BasePruner = optuna.pruners.NopPruner()
    if sweep.pruning == "median":
        pruner = optuna.pruners.MedianPruner(n_startup_trials=warmup, n_warmup_steps=warmup + 1)
    return optuna.create_study(
        storage=storage,
        study_name=_STUDY,
        direction="maximize",
        pruner=pruner,
        load_if_exists=True,
    )


def distribution(variation: Range | list[object]) -> BaseDistribution:
    """What may be proposed for one setting; choices are proposed as JSON."""
    if isinstance(variation, list):
        # As JSON: optuna's own choices can't be lists, and compare 1 and true as equal.
        return CategoricalDistribution([json.dumps(choice) for choice in variation])
    low, high = variation.low, variation.high
    if variation.whole:
        return IntDistribution(int(low), int(high), log=variation.log, step=variation.step or 1)
    return FloatDistribution(low, high, log=variation.log)


def sampler(sweep: Sweep, number: int) -> optuna.samplers.BaseSampler:
    """Proposes the trial after `number` that have ended, the same whenever it is asked."""
    seed = (sweep.seed + number) % 2**32
    if sweep.search == "tpe":
        return optuna.samplers.TPESampler(seed=seed)
    return optuna.samplers.RandomSampler(seed=seed)
