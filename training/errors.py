"""Errors that a user can fix; each message says what went wrong and what would be right."""

from __future__ import annotations


class TrainingError(Exception):
    """Base of all errors below. The command line prints the message and exits with `exit_code`."""

    exit_code = 1


class ConfigError(TrainingError):
    """A preset, setting or argument is invalid; the message names the key and its file."""

    exit_code = 2


class DataError(TrainingError):
    """Images can't be used; the message names them and the setting to change."""

    exit_code = 2


class ForeignModelError(TrainingError):
    """A model from another project can't be imported; the message names what isn't supported."""

    exit_code = 2


class StageError(TrainingError):
    """Files of an earlier stage are missing, damaged or from different runs; names the stage."""

    exit_code = 2


class NotFiniteError(TrainingError):
    """The loss, a gradient or a weight is infinite or NaN; names the settings to lower."""


class DivergedError(NotFiniteError):
    """The loss jumped far above its running mean and stayed there, without overflowing."""


class ParityError(TrainingError):
    """An exported graph computes other values than the trained network."""


class DiskError(TrainingError):
    """A write to disk failed; the previous file is unchanged."""


class InterruptedTrainingError(TrainingError):
    """A signal stopped training; the message says whether a checkpoint exists to resume from."""

    def __init__(self, message: str, signal_number: int) -> None:
        super().__init__(message)
        self.exit_code = 128 + signal_number
