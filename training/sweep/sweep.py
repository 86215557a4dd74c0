"""`vaetrain sweep`: trials that differ in some settings, compared by the validation bound.

optuna proposes the settings and keeps its journal in the sweep's folder, beside the workdir of
every trial. A sweep that was killed continues there: it resumes the interrupted trial from its
checkpoint and keeps the finished ones. optuna's retry callback is not used, because it needs a
database with heartbeats and waits for their grace period. `sole_use` already guarantees that no
trial of another process is running.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import optuna
from optuna.samplers import RandomSampler, TPESampler
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, Trial, TrialState
from rich.console import Console

from training.config.overrides import Override, parse_override
from training.data.dataset import load_data
from training.errors import ConfigError, InterruptedTrainingError, NotFiniteError
from training.fit.fit import fit
from training.sweep.spec import Range, Settings, Sweep, require_comparable
from training.sweep.summary import Ended, show, write_summary
from training.text import plain
from training.workdir import Workdir, read_json, read_lines, sole_use

_FOLDER, _SETTINGS, _REASON = "folder", "settings", "reason"
"""Attributes of a trial: its workdir below `trials/`, what was varied, and why it failed."""


def run_sweep(
    sweep: Sweep,
    folder: Path,
    *,
    overrides: Sequence[str | Override] = (),
    console: Console | None = None,
) -> list[Ended]:
    """Runs the missing trials and returns all that have ended, the best first.

    Raises:
        ConfigError: the settings are invalid, can't be compared, or differ from those with which
            the folder's sweep was begun, or its images do.
        InterruptedTrainingError: SIGINT or SIGTERM arrived; the same call continues the sweep.
        StageError: another sweep is running in the folder.
        TrainingError: as for `fit`, where other trials would fail for the same reason.
    """
    console = console or Console(stderr=True)
    parsed = [parse_override(one) if isinstance(one, str) else one for one in overrides]
    config = require_comparable(sweep, parsed)
    with sole_use(folder):
        trials = _Trials(sweep, parsed, folder, console, _open_study(sweep, folder))
        trials.require_same("settings", sweep.identity(parsed))
        if len(trials.ended()) < trials.wanted:
            trials.require_same("images", load_data(config).fingerprints)
            trials.run()
        ended = trials.ended()
        write_summary(folder / "summary.json", sweep, ended)
    show(console, sweep, ended, parsed)
    return ended


@dataclass(frozen=True)
class _Trials:
    """The trials of one sweep, and how each is run."""

    sweep: Sweep
    overrides: Sequence[Override]
    folder: Path
    console: Console
    study: optuna.Study

    @property
    def wanted(self) -> int:
        """Number of trials that the sweep has when it is finished."""
        return len(self.sweep.all_trials()) or self.sweep.trials

    def require_same(self, what: str, now: Mapping[str, object]) -> None:
        """Stores `now` with the study, or compares it with the stored value.

        Raises:
            ConfigError: they differ; names the keys.
        """
        before = self.study.user_attrs.get(what, now)
        if differing := [key for key in {**before, **now} if before.get(key) != now.get(key)]:
            raise ConfigError(
                f"{self.folder}: has a sweep with other {what}: {', '.join(differing)}. Set them "
                "back, or use another workdir."
            )
        self.study.set_user_attr(what, dict(now))

    def run(self) -> None:
        """Runs trials until as many have ended as are wanted; errors as for `run_sweep`."""
        for trial in self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            self.study.tell(trial.number, state=TrialState.FAIL)
        for trial in self._by_folder().values():
            if trial.state == TrialState.FAIL and _REASON not in trial.user_attrs:
                self.study.enqueue_trial(trial.params, user_attrs=trial.user_attrs)
        sampler = TPESampler if self.sweep.search == "tpe" else RandomSampler
        while (number := len(self.ended())) < self.wanted:
            # A new sampler for each trial: a sweep that was stopped proposes the same settings.
            self.study.sampler = sampler(seed=(self.sweep.seed + number) % 2**32)
            self.study.optimize(self._objective, n_trials=1)

    def ended(self) -> list[Ended]:
        """Trials that need not be run again, the best first."""
        final = (TrialState.COMPLETE, TrialState.PRUNED)
        found = [
            Ended(
                name=name,
                settings=json.loads(trial.user_attrs[_SETTINGS]),
                state=trial.state.name.lower(),
                bound=trial.value if trial.state == TrialState.COMPLETE else None,
                epochs=len(read_lines(self._workdir(trial).log)),
                reason=trial.user_attrs.get(_REASON),
            )
            for name, trial in self._by_folder().items()
            if trial.state in final or _REASON in trial.user_attrs
        ]
        return sorted(found, key=lambda one: (one.bound is None, -(one.bound or 0.0)))

    def _by_folder(self) -> dict[str, FrozenTrial]:
        """The latest trial in each workdir; a trial that is run again keeps its workdir."""
        trials = self.study.get_trials(deepcopy=False)
        return {one.user_attrs[_FOLDER]: one for one in trials if _FOLDER in one.user_attrs}

    def _workdir(self, trial: FrozenTrial | Trial) -> Workdir:
        return Workdir(self.folder / "trials" / trial.user_attrs[_FOLDER])

    def _objective(self, trial: Trial) -> float:
        """Trains and returns the sweep's objective, in nats; NaN, which optuna counts as a failure,
        where the trial's settings are at fault."""
        settings = self._settings(trial)
        workdir = self._workdir(trial)
        varied = ", ".join(f"{key} = {json.dumps(value)}" for key, value in settings.items())
        self._print(f"trial {len(self.ended()) + 1} of {self.wanted}: {varied}")
        begun = workdir.checkpoint.exists()
        try:
            config = self.sweep.config(settings, self.overrides)
            fit(
                config,
                workdir.folder,
                resume=True,
                console=self.console,
                after_epoch=lambda: self._report(trial, workdir),
            )
        except (ConfigError, NotFiniteError) as error:
            if begun and isinstance(error, ConfigError):
                # The call can't resume it; its settings did train before.
                raise
            trial.set_user_attr(_REASON, str(error))
            self._print(f"failed: {error}", style="yellow")
            return math.nan
        except InterruptedTrainingError as error:
            msg = f"stopped in trial {workdir.folder.name}; the same command continues the sweep"
            raise InterruptedTrainingError(msg, error.exit_code - 128) from error
        self.require_same("images", read_json(workdir.run)["fingerprints"])
        bounds = list(_bounds(workdir).values())
        best = self.sweep.objective == "best_validation_elbo" or config.early_stop
        return max(bounds) if best else bounds[-1]

    def _settings(self, trial: Trial) -> Settings:
        """The settings of a trial; a new one is listed or proposed, and its workdir is named."""
        if _SETTINGS in trial.user_attrs:
            known: Settings = json.loads(trial.user_attrs[_SETTINGS])
            return known
        number, listed = len(self._by_folder()), self.sweep.all_trials()
        settings = listed[number] if listed else _propose(trial, self.sweep.variations())
        trial.set_user_attr(_SETTINGS, json.dumps(settings))
        trial.set_user_attr(_FOLDER, f"{number:04}")
        return settings

    def _report(self, trial: Trial, workdir: Workdir) -> None:
        """Reports bounds to optuna: of new epochs, and of those before the trial was resumed."""
        reported = self.study.get_trials(deepcopy=False)[trial.number].intermediate_values
        for epoch, bound in _bounds(workdir).items():
            if epoch not in reported:
                trial.report(bound, epoch)
        if self.sweep.pruning != "none" and trial.should_prune():
            self._print("pruned: half of the earlier trials were better at this epoch")
            raise optuna.TrialPruned

    def _print(self, text: str, style: str | None = None) -> None:
        self.console.print(plain(text), style=style, highlight=False, soft_wrap=True)


def _open_study(sweep: Sweep, folder: Path) -> optuna.Study:
    """The folder's study, new or continued; all of it is in `journal.log`."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warmup = sweep.pruning_warmup
    return optuna.create_study(
        storage=JournalStorage(JournalFileBackend(str(folder / "journal.log"))),
        study_name="sweep",
        direction="maximize",
        pruner=optuna.pruners.MedianPruner(n_startup_trials=warmup, n_warmup_steps=warmup + 1),
        load_if_exists=True,
    )


def _propose(trial: Trial, variations: Mapping[str, Range | list[object]]) -> Settings:
    """Values that optuna proposes."""
    settings: dict[str, object] = {}
    for key, one in variations.items():
        if isinstance(one, list):
            # As JSON: optuna's own choices can't be lists, and compare 1 and true as equal.
            choices = [json.dumps(choice) for choice in one]
            settings[key] = json.loads(trial.suggest_categorical(key, choices))
        elif one.whole:
            low, high = int(one.low), int(one.high)
            settings[key] = trial.suggest_int(key, low, high, log=one.log, step=one.step or 1)
        else:
            settings[key] = trial.suggest_float(key, one.low, one.high, log=one.log)
    return settings


def _bounds(workdir: Workdir) -> dict[int, float]:
    return {line["epoch"]: line["validation_elbo"] for line in read_lines(workdir.log)}
