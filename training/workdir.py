"""The folder of a run: its file names, and atomic writes."""

from __future__ import annotations

import fcntl
import json
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from model.files import replacing
from training.config.presets import override_config, parse_config
from training.config.run import TrainingConfig
from training.errors import ConfigError, DiskError, StageError

_OF_A_MACHINE = frozenset({"threads", "device", "channels_last", "compile"})
"""Settings that affect only the last bits of the weights, and nothing after training."""


class Workdir:
    """The files of a run, in the order in which the stages write them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config = folder / "config.json"
        self.run = folder / "run.json"
        self.checkpoint = folder / "checkpoint.pt"
        self.weights = folder / "weights.safetensors"
        self.log = folder / "metrics.jsonl"
        self.warnings = folder / "warnings.jsonl"
        self.tensorboard = folder / "tensorboard"
        self.encoder = folder / "encoder.onnx"
        self.decoder = folder / "decoder.onnx"
        self.golden = folder / "golden.npz"
        self.prior = folder / "prior.npz"
        self.export = folder / "export.json"
        self.metrics = folder / "metrics.json"
        self.posterior = folder / "posterior.npz"
        self.reference = folder / "reference.npz"
        self.reference_about = folder / "reference.json"
        self.latents = folder / "latents.npz"
        self.latents_about = folder / "latents.json"
        self.figures = folder / "figures"
        self.page = folder / "report.html"
        self.bundles = folder / "bundles"

    def read_config(self, overrides: Sequence[str] = ()) -> TrainingConfig:
        """Reads the configuration of `fit`; later stages may override their own settings.

        Raises:
            ConfigError: an override that would have changed the trained weights.
            StageError: `fit` has not run.
        """
        content = self.require(self.config, "fit").read_bytes()
        config = parse_config(content, str(self.config))
        changed = override_config(config, overrides)
        before, now = config.identity(), changed.identity()
        fixed = [key for key in now if now[key] != before.get(key) and key not in _OF_A_MACHINE]
        if fixed:
            msg = f"{', '.join(fixed)}: fixed when this workdir was trained; run `fit` again"
            raise ConfigError(msg)
        return changed

    def require(self, path: Path, stage: str) -> Path:
        """Returns `path` if the stage that writes it has run.

        Raises:
            StageError: the file is missing; names the stage to run first.
        """
        if not path.exists():
            raise StageError(f"{path}: missing; run `vaetrain {stage}` on this workdir first")
        return path

    @contextmanager
    def reading(self, path: Path, stage: str) -> Iterator[Path]:
        """`path`, to be read inside; `stage` is the one that writes it.

        Raises:
            StageError: the file is missing or damaged; names the stage to run (again).
        """
        self.require(path, stage)
        try:
            yield path
        except (OSError, EOFError, ValueError, TypeError, KeyError, zipfile.BadZipFile) as error:
            again = f"vaetrain {stage}{' PRESET --resume' if stage == 'fit' else ''}"
            msg = f"{path}: damaged ({error}); run `{again}` on this workdir again"
            raise StageError(msg) from error

    def read_json(self, path: Path, stage: str, **members: type) -> dict[str, Any]:
        """The document that `stage` wrote, with members of these types at least; errors as for
        `reading`."""
        with self.reading(path, stage):
            document = read_json(path)
            for name, kind in members.items():
                if name not in document or not isinstance(document[name], kind):
                    raise ValueError(f"{name} is missing or has the wrong type")
            return document


@contextmanager
def sole_use(folder: Path) -> Iterator[None]:
    """Locks a workdir against other runs; the lock ends with the process.

    Raises:
        DiskError: the folder can't be written to.
        StageError: another process trains there.
    """
    path = folder / ".lock"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = path.open("wb")
    except OSError as error:
        raise disk_error(path, error) from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            msg = f"{folder}: another run is using it; wait until it ends, or use another workdir"
            raise StageError(msg) from error
        yield


def write_atomic(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Lets `write` fill a temporary file beside `path`, then renames it into place.

    Raises:
        DiskError: the disk refused; a file that was there before is untouched.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary, temporary.open("wb") as file:
            write(file)
    except OSError as error:
        raise disk_error(path, error) from error


def write_json(path: Path, document: Mapping[str, object]) -> None:
    """Writes `document` as indented JSON, as a whole; errors as for `write_atomic`."""
    content = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    write_bytes(path, content.encode())


def write_bytes(path: Path, content: bytes) -> None:
    """Writes `content` as a whole; errors as for `write_atomic`."""
    write_atomic(path, lambda file: file.write(content))


def read_json(path: Path) -> dict[str, Any]:
    """Reads what `write_json` wrote.

    Raises:
        ValueError: the file is not a JSON object.
    """
    document = json.loads(path.read_bytes())
    if not isinstance(document, dict):
        raise ValueError("not a JSON object")
    return document


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The complete lines of a log; empty if there is no file. An unfinished run may be writing the
    last line."""
    if not path.exists():
        return []
    found = []
    for line in path.read_text("utf-8", errors="replace").splitlines():
        try:
            found.append(json.loads(line))
        except ValueError:
            continue
    return [line for line in found if isinstance(line, dict)]


def disk_error(path: Path, error: OSError) -> DiskError:
    """The error for a failed write."""
    return DiskError(f"{path}: not written: {error.strerror or error}")
