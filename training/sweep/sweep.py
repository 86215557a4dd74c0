"""`vaetrain sweep`: trials that differ in some settings, compared by the validation bound.

optuna proposes the settings and keeps its journal in the sweep's folder, beside the workdir of
every trial. A sweep that was killed continues there: it resumes the interrupted trial from its
checkpoint and keeps the finished ones. optuna's retry callback is not used, because it needs a
database with heartbeats and waits for their grace period. `sole_use` already guarantees that no
trial of another process is running.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, Trial, TrialState
from rich.console import Console

from training.config.overrides import Override, parse_override
from training.data.dataset import load_data
from training.errors import ConfigError, InterruptedTrainingError, NotFiniteError
from training.fit.fit import fit
from training.sweep.plan import identity, require_comparable
from training.sweep.spec import Range, Settings, Sweep
from training.sweep.summary import Ended, show, write_summary
from training.text import plain
from training.workdir import Workdir, read_json, read_lines, sole_use, write_json

_FOLDER, _SETTINGS, _REASON = "folder", "settings", "reason"
"""Attributes of a trial: its workdir below `trials/`, what was varied, and why it failed."""
_IMAGES = "pictures"
"""Attribute of the study: the fingerprints of the images."""


class _FailedTrialError(Exception):
    """A trial failed because of its own settings; others may succeed."""


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
            the folder's sweep was begun.
        InterruptedTrainingError: SIGINT or SIGTERM arrived; the same call continues the sweep.
        StageError: the folder holds something else, or another sweep is running there.
        TrainingError: as for `fit`, where other trials would fail for the same reason.
    """
    console = console or Console(stderr=True)
    parsed = [parse_override(one) if isinstance(one, str) else one for one in overrides]
    require_comparable(sweep, parsed)
    with sole_use(folder):
        _require_same(sweep, parsed, folder / "sweep.json")
        trials = _Trials(sweep, parsed, folder, console, _open_study(sweep, folder))
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

    def run(self) -> None:
        """Runs trials until as many have ended as are wanted; errors as for `run_sweep`."""
        if len(self.ended()) < self.wanted:
            self._require_same_images()
        self._queue()
        while (number := len(self.ended())) < self.wanted:
            # A new sampler for each trial: a sweep that was stopped proposes the same settings.
            self.study.sampler = _sampler(self.sweep, number)
            self.study.optimize(self._objective, n_trials=1, catch=_FailedTrialError)

    def ended(self) -> list[Ended]:
        """Trials that need not be run again, the best first."""
        found = [self._ended(trial) for trial in self._by_folder().values() if _is_final(trial)]
        return sorted(found, key=lambda one: (one.bound is None, -(one.bound or 0.0)))

    def _by_folder(self) -> dict[str, FrozenTrial]:
        """The latest trial in each workdir; a trial that is run again keeps its workdir."""
        trials = self.study.get_trials(deepcopy=False)
        return {one.user_attrs[_FOLDER]: one for one in trials if _FOLDER in one.user_attrs}

    def _workdir(self, trial: FrozenTrial | Trial) -> Workdir:
        return Workdir(self.folder / "trials" / trial.user_attrs[_FOLDER])

    def _queue(self) -> None:
        """Queues the trials that are known in advance, and again those that were interrupted."""
        for trial in self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            self.study.tell(trial.number, state=TrialState.FAIL)
        begun = self._by_folder()
        for number, settings in enumerate(self.sweep.all_trials()):
            if (name := f"{number:04}") not in begun:
                attributes = {_FOLDER: name, _SETTINGS: json.dumps(settings)}
                self.study.enqueue_trial({}, user_attrs=attributes)
        for trial in begun.values():
            if trial.state == TrialState.FAIL and not _is_final(trial):
                self.study.enqueue_trial(trial.params, user_attrs=trial.user_attrs)

    def _require_same_images(self) -> None:
        """Raises a ConfigError if trials that have begun were trained on other images."""
        begun = [one for one in self._by_folder().values() if self._workdir(one).run.exists()]
        if not begun:
            return
        workdir = self._workdir(begun[0])
        before = workdir.read_json(workdir.run, "fit", fingerprints=dict)["fingerprints"]
        settings = json.loads(begun[0].user_attrs[_SETTINGS])
        if dict(load_data(self.sweep.config(settings, self.overrides)).fingerprints) != before:
            raise self._other_images()

    def _other_images(self) -> ConfigError:
        return ConfigError(
            f"{self.folder}: the trials before were made with other images; set data.source back, "
            "or take another workdir"
        )

    def _objective(self, trial: Trial) -> float:
        settings = self._settings(trial)
        workdir = self._workdir(trial)
        varied = ", ".join(f"{key} = {json.dumps(value)}" for key, value in settings.items())
        self._print(f"trial {len(self.ended()) + 1} of {self.wanted}: {varied}")
        begun = workdir.checkpoint.exists()
        try:
            bound = self._bound(trial, settings, workdir)
        except optuna.TrialPruned:
            self._print("pruned: half of the earlier trials were better at this epoch")
            raise
        except (ConfigError, NotFiniteError) as error:
            if begun and isinstance(error, ConfigError):
                # The call can't resume it; its settings did train before.
                raise
            trial.set_user_attr(_REASON, str(error))
            self._print(f"failed: {error}", style="yellow")
            raise _FailedTrialError from error
        except InterruptedTrainingError as error:
            msg = f"stopped in trial {workdir.folder.name}; the same command continues the sweep"
            raise InterruptedTrainingError(msg, error.exit_code - 128) from error
        prints = read_json(workdir.run)["fingerprints"]
        if self.study.user_attrs.get(_IMAGES, prints) != prints:
            raise self._other_images()
        self.study.set_user_attr(_IMAGES, prints)
        return bound

    def _settings(self, trial: Trial) -> Settings:
        """The settings of a trial; those of a new one are proposed, and its workdir is named."""
        if _SETTINGS in trial.user_attrs:
            known: Settings = json.loads(trial.user_attrs[_SETTINGS])
            return known
        variations = self.sweep.variations()
        settings = {key: _suggest(trial, key, one) for key, one in variations.items()}
        trial.set_user_attr(_SETTINGS, json.dumps(settings))
        trial.set_user_attr(_FOLDER, f"{len(self._by_folder()):04}")
        return settings

    def _bound(self, trial: Trial, settings: Settings, workdir: Workdir) -> float:
        """Trains and returns the objective, in nats."""
        config = self.sweep.config(settings, self.overrides)
        reported: set[int] = set()

        def after_epoch() -> None:
            for epoch, bound in _bounds(workdir):
                if epoch not in reported:
                    reported.add(epoch)
                    trial.report(bound, epoch)
            if self.sweep.pruning != "none" and trial.should_prune():
                raise optuna.TrialPruned

        fit(config, workdir.folder, resume=True, console=self.console, after_epoch=after_epoch)
        bounds = [bound for _, bound in _bounds(workdir)]
        best = self.sweep.objective == "best_validation_elbo" or config.early_stop
        return max(bounds) if best else bounds[-1]

    def _ended(self, trial: FrozenTrial) -> Ended:
        return Ended(
            name=trial.user_attrs[_FOLDER],
            settings=json.loads(trial.user_attrs[_SETTINGS]),
            state=trial.state.name.lower(),
            bound=trial.value if trial.state == TrialState.COMPLETE else None,
            epochs=len(read_lines(self._workdir(trial).log)),
            reason=trial.user_attrs.get(_REASON),
        )

    def _print(self, text: str, style: str | None = None) -> None:
        self.console.print(plain(text), style=style, highlight=False, soft_wrap=True)


def _open_study(sweep: Sweep, folder: Path) -> optuna.Study:
    """The folder's study, new or continued; all of it is in `journal.log`."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warmup = sweep.pruning_warmup
    pruner: optuna.pruners.BasePruner = optuna.pruners.NopPruner()
    if sweep.pruning == "median":
        pruner = optuna.pruners.MedianPruner(n_startup_trials=warmup, n_warmup_steps=warmup + 1)
    return optuna.create_study(
        storage=JournalStorage(JournalFileBackend(str(folder / "journal.log"))),
        study_name="sweep",
        direction="maximize",
        pruner=pruner,
        load_if_exists=True,
    )


def _sampler(sweep: Sweep, number: int) -> optuna.samplers.BaseSampler:
    """Proposes the trial after `number` that have ended, always the same one."""
    seed = (sweep.seed + number) % 2**32
    if sweep.search == "tpe":
        return optuna.samplers.TPESampler(seed=seed)
    return optuna.samplers.RandomSampler(seed=seed)


def _suggest(trial: Trial, key: str, variation: Range | list[object]) -> object:
    """A value that optuna proposes for one setting."""
    if isinstance(variation, list):
        # As JSON: optuna's own choices can't be lists, and compare 1 and true as equal.
        return json.loads(trial.suggest_categorical(key, [json.dumps(one) for one in variation]))
    low, high, log = variation.low, variation.high, variation.log
    if variation.whole:
        return trial.suggest_int(key, int(low), int(high), log=log, step=variation.step or 1)
    return trial.suggest_float(key, low, high, log=log)


def _bounds(workdir: Workdir) -> list[tuple[int, float]]:
    return [(line["epoch"], line["validation_elbo"]) for line in read_lines(workdir.log)]


def _is_final(trial: FrozenTrial) -> bool:
    """Whether a trial need not be run again; a failed one needs a reason of its own."""
    ended = trial.state in (TrialState.COMPLETE, TrialState.PRUNED)
    return ended or _REASON in trial.user_attrs


def _require_same(sweep: Sweep, overrides: Sequence[Override], path: Path) -> None:
    now = identity(sweep, overrides)
    before: Mapping[str, object] = read_json(path) if path.exists() else now
    differing = [key for key in sorted({*before, *now}) if before.get(key) != now.get(key)]
    if differing:
        msg = (
            f"{path.parent}: holds a sweep with other settings: {', '.join(differing)}. Set them "
            "back, or take another workdir."
        )
        raise ConfigError(msg)
    write_json(path, now)
