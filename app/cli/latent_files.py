"""Latents on disk, written as they come: Parquet, CSV, `.npy` and `.npz`."""

from __future__ import annotations

import contextlib
import csv
import importlib.util
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from app.cli.exits import UsageError
from app.cli.files import shown
from app.cli.output import check_ending
from model.files import replacing
from model.pixels import Floats
from vaeserve.results import Encodings

_GROUP_VALUES = 2 * 1024 * 1024
"""Values of a Parquet row group: about 8 MiB, which are in memory until they are written."""


class LatentFile(Protocol):
    """Takes the rows of a file, some at a time."""

    def add(self, paths: Sequence[Path], latents: Encodings) -> None:
        """Appends a row for each path."""

    def finish(self) -> None:
        """Writes what is left; at least one row was added."""


def check(path: Path) -> None:
    """Holds that latents can be written to a file of this name.

    Raises:
        UsageError: an unknown ending, no such folder, or Parquet without its package.
    """
    ending = check_ending(path, ENDINGS)
    if ending == ".parquet" and importlib.util.find_spec("pyarrow") is None:
        msg = (
            "to write Parquet install pyarrow: pip install 'vaeserve[parquet]'; "
            "or write .npz, .npy or .csv"
        )
        raise UsageError(msg)


@contextlib.contextmanager
def writing(path: Path) -> Iterator[LatentFile]:
    """A file that takes `path`'s place when the block ends well and rows were added."""
    with replacing(path) as temporary:
        kind: Any = _KINDS[path.suffix.lower()]
        made = kind(temporary)
        with contextlib.closing(made):
            yield made
            made.finish()


class _Parquet:
    """Columns `path`, `mean` and `logvar`, the latter lists of float32, flat as in C order."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._writer: Any = None
        self._waiting: list[Any] = []
        self._values = 0

    def add(self, paths: Sequence[Path], latents: Encodings) -> None:
        import pyarrow as pa

        columns = [pa.array([shown(path) for path in paths], pa.string())]
        columns += [_lists(values) for values in (latents.mean, latents.logvar)]
        self._waiting.append(pa.record_batch(columns, schema=_schema(latents)))
        self._values += 2 * latents.mean.size
        if self._values >= _GROUP_VALUES:
            self._write()

    def finish(self) -> None:
        self._write()

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()

    def _write(self) -> None:
        import pyarrow as pa
        from pyarrow import parquet

        if not self._waiting:
            return
        table = pa.Table.from_batches(self._waiting)
        if self._writer is None:
            self._writer = parquet.ParquetWriter(self._path, table.schema)
        self._writer.write_table(table, row_group_size=len(table))
        self._waiting, self._values = [], 0


def _schema(latents: Encodings) -> Any:  # noqa: ANN401 pyarrow is not always there
    import pyarrow as pa

    numbers = pa.list_(pa.float32())
    about: dict[bytes | str, bytes | str] = {
        "model": latents.model,
        "version": str(latents.version),
        "latent_shape": json.dumps(latents.mean.shape[1:]),
    }
    members = [("path", pa.string()), ("mean", numbers), ("logvar", numbers)]
    return pa.schema(members, metadata=about)


def _lists(values: Floats) -> Any:  # noqa: ANN401 pyarrow is not always there
    import pyarrow as pa

    flat = values.reshape(len(values), -1)
    offsets = np.arange(0, flat.size + 1, flat.shape[1], dtype=np.int32)
    starts, numbers = pa.array(offsets, pa.int32()), pa.array(flat.reshape(-1), pa.float32())
    return pa.ListArray.from_arrays(starts, numbers)


class _Csv:
    """Columns `path`, `mean_0` …, `logvar_0` …"""

    def __init__(self, path: Path) -> None:
        self._file = path.open("w", encoding="utf-8", newline="")
        self._rows = csv.writer(self._file, lineterminator="\n")
        self._begun = False

    def add(self, paths: Sequence[Path], latents: Encodings) -> None:
        mean, logvar = (
            values.reshape(len(values), -1) for values in (latents.mean, latents.logvar)
        )
        if not self._begun:
            names = (f"{name}_{i}" for name in ("mean", "logvar") for i in range(mean.shape[1]))
            self._rows.writerow(["path", *names])
            self._begun = True
        # NumPy's text of a float32 is the shortest that reads as the same float32.
        both = np.concatenate([mean, logvar], axis=1).astype(str)
        self._rows.writerows(
            [shown(path), *values] for path, values in zip(paths, both, strict=True)
        )

    def finish(self) -> None:
        self._file.flush()

    def close(self) -> None:
        self._file.close()


class _Npy:
    """The means, float32 [n, *latent_shape]."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("w+b")
        self._rows = 0
        self._shape: tuple[int, ...] = ()

    def add(self, paths: Sequence[Path], latents: Encodings) -> None:
        if not self._rows:
            self._shape = latents.mean.shape[1:]
            self._head()
        self._file.write(np.ascontiguousarray(latents.mean, dtype="<f4").tobytes())
        self._rows += len(latents.mean)

    def finish(self) -> None:
        # NumPy leaves room in the header for the first axis to grow.
        self._head()

    def close(self) -> None:
        self._file.close()

    def _head(self) -> None:
        self._file.seek(0)
        head = {"descr": "<f4", "fortran_order": False, "shape": (self._rows, *self._shape)}
        np.lib.format.write_array_header_1_0(self._file, head)


class _Npz:
    """Arrays `path`, `mean` and `logvar`; all of it is in memory until the end."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb")
        self._paths: list[str] = []
        self._means: list[Floats] = []
        self._logvars: list[Floats] = []

    def add(self, paths: Sequence[Path], latents: Encodings) -> None:
        self._paths += [shown(path) for path in paths]
        self._means.append(latents.mean)
        self._logvars.append(latents.logvar)

    def finish(self) -> None:
        np.savez(
            self._file,
            path=np.array(self._paths),
            mean=np.concatenate(self._means),
            logvar=np.concatenate(self._logvars),
        )

    def close(self) -> None:
        self._file.close()


_KINDS = {".parquet": _Parquet, ".csv": _Csv, ".npy": _Npy, ".npz": _Npz}
ENDINGS = tuple(_KINDS)
