"""What can go wrong in training and is the user's to mend: each text says what would be right."""

from __future__ import annotations


class TrainingError(Exception):
    """Base of everything below; the command line prints its text and exits with `exit_code`."""

    exit_code = 1


class ConfigError(TrainingError):
    """A preset, a setting or an argument that can't be used; names the key and the file."""

    exit_code = 2


class DataError(TrainingError):
    """Images that can't be trained on; names them and the setting to change."""

    exit_code = 2


class ForeignModelError(TrainingError):
    """A model from elsewhere that can't be imported; says what is missing or not supported."""

    exit_code = 2


class StageError(TrainingError):
    """A stage whose input files are missing or don't belong together."""

    exit_code = 2


class NotFiniteError(TrainingError):
    """The loss or the gradient is infinite or not a number."""


class DivergedError(NotFiniteError):
    """The loss jumped far beyond its running range and stayed there: no overflow yet, and no
    model either, so that whatever outlives the one outlives the other."""


class ParityError(TrainingError):
    """An exported graph that does not compute what the trained network computes."""


class DiskError(TrainingError):
    """The disk refused a write; what was there before is still whole."""


class InterruptedTrainingError(TrainingError):
    """Training was told to stop, and has left a checkpoint to resume from."""

    def __init__(self, message: str, signal_number: int) -> None:
        super().__init__(message)
        self.exit_code = 128 + signal_number
