"""`vaetrain sweep`: trials that differ in some settings, compared by the validation bound.

optuna proposes the settings. Its journal and every trial's workdir are files below one folder, so
that a sweep which was killed goes on where it was: a trial that was interrupted is resumed from its
checkpoint, and finished ones are kept.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial, Trial, TrialState
from rich.console import Console

from training.config.overrides import Override, parse_override
from training.config.run import TrainingConfig
from training.data.dataset import load_data
from training.errors import ConfigError, InterruptedTrainingError, NotFiniteError
from training.fit.fit import fit
from training.sweep.plan import identity, require_comparable
from training.sweep.spec import Sweep
from training.sweep.study import distribution, open_study, sampler
from training.sweep.summary import Ended, show, write_summary
from training.text import plain
from training.workdir import Workdir, read_json, read_lines, sole_use, write_json

_FOLDER, _SETTINGS, _REASON = "folder", "settings", "reason"
"""Attributes of a trial: its workdir below `trials/`, what was varied, and why it failed."""


@dataclass(frozen=True)
class _Run:
    """One call of `run_sweep`."""

    sweep: Sweep
    overrides: Sequence[str | Override]
    folder: Path
    console: Console
    study: optuna.Study

    def workdir(self, trial: FrozenTrial | Trial) -> Workdir:
        return Workdir(self.folder / "trials" / trial.user_attrs[_FOLDER])

    def folders(self) -> set[str]:
        """Names of all trials' workdirs; one that is made again keeps its own."""
        trials = self.study.get_trials(deepcopy=False)
        return {one.user_attrs[_FOLDER] for one in trials if _FOLDER in one.user_attrs}


def run_sweep(
    sweep: Sweep,
    folder: Path,
    *,
    overrides: Sequence[str | Override] = (),
    console: Console | None = None,
) -> list[Ended]:
    """Makes the trials that are missing; returns all that have ended, the best first.

    Raises:
        ConfigError: settings that no run can have, that can't be compared, or that are not those
            which the folder's sweep was begun with.
        InterruptedTrainingError: SIGINT or SIGTERM came; the same call goes on.
        StageError: the folder is no sweep's, or one is going on there.
        TrainingError: as for `fit`, where other trials would end so too.
    """
    console = console or Console(stderr=True)
    parsed = [parse_override(one) if isinstance(one, str) else one for one in overrides]
    require_comparable(sweep, parsed)
    with sole_use(folder):
        _require_same(sweep, parsed, folder / "sweep.json")
        run = _Run(sweep, parsed, folder, console, open_study(sweep, folder))
        _require_images_of_before(run)
        _prepare(run)
        while (number := len(_ended(run))) < _wanted(sweep):
            # Anew for each trial: a sweep that was stopped proposes what it would have anyway.
            run.study.sampler = sampler(sweep, number)
            _trial(run, number)
        ended = _ended(run)
        write_summary(folder / "summary.json", sweep, ended)
    show(console, sweep, ended, parsed)
    return ended


def _prepare(run: _Run) -> None:
    """Queues trials that are known before, and again those that were interrupted."""
    trials, queued = run.study.get_trials(deepcopy=False), run.folders()
    for number, settings in enumerate(run.sweep.all_trials()):
        name = f"{number:04}"
        if name not in queued:
            attributes = {_FOLDER: name, _SETTINGS: json.dumps(settings)}
            run.study.enqueue_trial({}, user_attrs=attributes)
    waiting = {trial.user_attrs.get(_FOLDER) for trial in trials if _is(trial, TrialState.WAITING)}
    for trial in trials:
        if not _is(trial, TrialState.RUNNING):
            continue
        # Without a folder it had not begun.
        if _FOLDER in trial.user_attrs and trial.user_attrs[_FOLDER] not in waiting:
            run.study.enqueue_trial(trial.params, user_attrs=trial.user_attrs)
        # Last: killed in between, the trial is found running once more, and queued already.
        run.study.tell(trial.number, state=TrialState.FAIL)


def _trial(run: _Run, number: int) -> None:
    distributions = {key: distribution(one) for key, one in run.sweep.variations().items()}
    known = bool(run.sweep.all_trials())
    trial = run.study.ask({} if known else distributions)
    settings = _settings(trial)
    trial.set_user_attr(_SETTINGS, json.dumps(settings))
    if _FOLDER not in trial.user_attrs:
        trial.set_user_attr(_FOLDER, f"{len(run.folders()):04}")
    workdir = run.workdir(trial)
    told = ", ".join(f"{key} = {json.dumps(value)}" for key, value in settings.items())
    run.console.print(
        plain(f"trial {number + 1} of {_wanted(run.sweep)}: {told}"),
        highlight=False,
        soft_wrap=True,
    )
    begun = workdir.checkpoint.exists()
    try:
        bound = _bound(run, trial, run.sweep.config(settings, run.overrides), workdir)
    except optuna.TrialPruned:
        run.study.tell(trial, state=TrialState.PRUNED)
        run.console.print("pruned: half of the trials before were better at this epoch")
    except (ConfigError, NotFiniteError) as error:
        if begun and isinstance(error, ConfigError):
            # It can't be resumed as called now; its settings did train.
            raise
        # Of these settings: those of other trials may do.
        trial.set_user_attr(_REASON, str(error))
        run.study.tell(trial, state=TrialState.FAIL)
        run.console.print(
            plain(f"failed: {error}"), style="yellow", highlight=False, soft_wrap=True
        )
    except InterruptedTrainingError as error:
        msg = f"stopped in trial {workdir.folder.name}; the same command goes on"
        raise InterruptedTrainingError(msg, error.exit_code - 128) from error
    else:
        _require_same_images(run, workdir)
        run.study.tell(trial, bound)


def _bound(run: _Run, trial: Trial, config: TrainingConfig, workdir: Workdir) -> float:
    reported: set[int] = set()

    def after_epoch() -> None:
        for epoch, bound in _bounds(workdir):
            if epoch not in reported:
                reported.add(epoch)
                trial.report(bound, epoch)
        if run.sweep.pruning != "none" and trial.should_prune():
            raise optuna.TrialPruned

    fit(config, workdir.folder, resume=True, console=run.console, after_epoch=after_epoch)
    bounds = [bound for _, bound in _bounds(workdir)]
    best = run.sweep.objective == "best_validation_elbo" or config.early_stop
    return max(bounds) if best else bounds[-1]


def _bounds(workdir: Workdir) -> list[tuple[int, float]]:
    return [(line["epoch"], line["validation_elbo"]) for line in read_lines(workdir.log)]


def _settings(trial: Trial) -> dict[str, Any]:
    if _SETTINGS in trial.user_attrs:
        found: dict[str, Any] = json.loads(trial.user_attrs[_SETTINGS])
        return found
    return {
        key: json.loads(value) if isinstance(value, str) else value
        for key, value in trial.params.items()
    }


def _wanted(sweep: Sweep) -> int:
    return len(sweep.all_trials()) or sweep.trials


def _is(trial: FrozenTrial, *states: TrialState) -> bool:
    return trial.state in states


def _ended(run: _Run) -> list[Ended]:
    """Trials that need not be made again, the best first."""
    found = []
    for trial in run.study.get_trials(deepcopy=False):
        reason = trial.user_attrs.get(_REASON)
        if _is(trial, TrialState.COMPLETE, TrialState.PRUNED) or reason:
            found.append(
                Ended(
                    name=trial.user_attrs[_FOLDER],
                    settings=json.loads(trial.user_attrs[_SETTINGS]),
                    state=trial.state.name.lower(),
                    bound=trial.value if _is(trial, TrialState.COMPLETE) else None,
                    epochs=len(read_lines(run.workdir(trial).log)),
                    reason=reason,
                )
            )
    return sorted(found, key=lambda one: (one.bound is None, -(one.bound or 0.0)))


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


def _require_images_of_before(run: _Run) -> None:
    """Of all trials that have begun, before any goes on: all have the same source."""
    trials = run.study.get_trials(deepcopy=False)
    begun = [one for one in trials if _FOLDER in one.user_attrs and run.workdir(one).run.exists()]
    if not begun or len(_ended(run)) >= _wanted(run.sweep):
        return
    workdir = run.workdir(begun[0])
    before = workdir.read_json(workdir.run, "fit", fingerprints=dict)["fingerprints"]
    settings = json.loads(begun[0].user_attrs[_SETTINGS])
    if dict(load_data(run.sweep.config(settings, run.overrides)).fingerprints) != before:
        raise _other_images(run)


def _require_same_images(run: _Run, workdir: Workdir) -> None:
    prints = read_json(workdir.run)["fingerprints"]
    if run.study.user_attrs.setdefault("pictures", prints) != prints:
        raise _other_images(run)
    run.study.set_user_attr("pictures", prints)


def _other_images(run: _Run) -> ConfigError:
    return ConfigError(
        f"{run.folder}: the trials before were made with other images; set data.source back, "
        "or take another workdir"
    )
