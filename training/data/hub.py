"""`datasets`, called so that it keeps quiet, and its errors as sentences of ours."""

from __future__ import annotations

import errno
import glob
import logging
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from training.config.data import DataConfig
from training.errors import DataError
from training.workdir import disk_error

if TYPE_CHECKING:
    import datasets

_HUB_NAME = re.compile(r"^[\w.-]+/[\w.-]+$")
_OF_SPLIT = re.compile(r"([a-z]+)[-_]\d")
_DISK_REFUSALS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS})


def load(source: str, config: DataConfig) -> tuple[datasets.DatasetDict, tuple[Path, ...]]:
    """All splits, and the folders whose files rows may name; no folders if the rows are the files
    of a folder of images.

    Raises:
        DataError: no such source, or nothing in it that can be read.
        DiskError: the cache can't be written.
    """
    # Imported late: it takes seconds, and `--help` should not.
    import datasets

    folder, tables = Path(source).expanduser(), parquet_files(source)
    local = folder.exists() or bool(tables) or not _HUB_NAME.match(source)
    options: dict[str, object] = {"cache_dir": str(Path(config.cache).expanduser() / "huggingface")}
    folders: tuple[Path, ...] = ()
    if not local:
        kind, options, folders = source, {"revision": config.revision}, _hub_folders()
    elif tables:
        kind, folders = "parquet", (folder_of_tables(source),)
        options["data_files"] = _by_split(tables, config.train_split)
    elif not folder.is_dir():
        raise DataError(
            f"{source}: neither a folder nor a hub name such as ylecun/mnist, nor files that "
            "end in .parquet"
        )
    elif any(folder.rglob("*.parquet")):
        kind, folders = str(folder), (folder,)
    else:
        kind, options["data_dir"] = "imagefolder", str(folder)
    try:
        with quiet(bars=not local):
            return datasets.load_dataset(kind, **options), folders
    except (OSError, ValueError, datasets.exceptions.DatasetsError) as error:
        if refusal := _disk_refusal(error):
            raise disk_error(Path(config.cache).expanduser(), refusal) from error
        reason = _innermost(error)
        if tables:
            msg = f"{source}: no readable parquet files: {reason}"
        elif local and not any(path.is_file() for path in folder.rglob("*")):
            msg = f"{source}: the folder has no images"
        elif local:
            msg = f"{source}: no images or parquet files that `datasets` can read: {reason}"
        else:
            msg = (
                f"there is no folder {source}, and the hub has no such images or "
                f"can't be reached ({reason}); local folders work without it"
            )
        raise DataError(msg) from error


def parquet_files(source: str) -> list[str]:
    """The parquet files that a path or a pattern such as `data/*.parquet` names."""
    path = str(Path(source).expanduser())
    found = sorted(glob.glob(path, recursive=True)) if glob.has_magic(path) else [path]
    return [name for name in found if name.endswith(".parquet") and Path(name).is_file()]


def folder_of_tables(source: str) -> Path:
    """The folder of the parquet files, or its first parent that is not a pattern."""
    above = (part for part in Path(source).expanduser().parents if not glob.has_magic(str(part)))
    return next(above).resolve()


@contextmanager
def quiet(*, bars: bool) -> Iterator[None]:
    """Without the hub's lines about each retry, and unless `bars` without progress, which is for
    where something is fetched; afterwards both are as before."""
    import datasets

    hub = logging.getLogger("huggingface_hub")
    level, shown = hub.level, not datasets.are_progress_bars_disabled()
    hub.setLevel(logging.ERROR)
    if not bars:
        datasets.disable_progress_bars()
    try:
        yield
    finally:
        hub.setLevel(level)
        if shown:
            datasets.enable_progress_bars()


def _hub_folders() -> tuple[Path, ...]:
    """Where files from the hub lie."""
    import datasets
    from huggingface_hub import constants

    cached = (constants.HF_HUB_CACHE, datasets.config.HF_DATASETS_CACHE)
    return tuple(Path(folder).expanduser() for folder in cached)


def _by_split(tables: Sequence[str], otherwise: str) -> dict[str, list[str]]:
    """Files by the split that they are named after, as in `test-00000-of-00001.parquet`."""
    splits: dict[str, list[str]] = {}
    for name in tables:
        named = _OF_SPLIT.match(Path(name).name)
        splits.setdefault(named[1] if named else otherwise, []).append(name)
    return splits


def _innermost(error: BaseException) -> str:
    """The cause of an error that `datasets` does not explain."""
    while error.__cause__ is not None:
        error = error.__cause__
    return str(error).strip() or type(error).__name__


def _disk_refusal(error: BaseException | None) -> OSError | None:
    """The write error that `datasets` wrapped into its own, if that is what happened."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in _DISK_REFUSALS:
            return error
        error = error.__cause__ or error.__context__
    return None
