"""`encode`: the latents of images in a file, written as they come."""

from __future__ import annotations

import argparse
import contextlib
import csv
import importlib.util
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from app.cli.batches import Batches
from app.cli.connect import client_of
from app.cli.exits import Exit, UsageError
from app.cli.files import check_ending
from model.files import replacing
from model.pixels import Floats
from vaeserve.results import Encodings

Encoded = Iterator[tuple[list[str], Encodings]]
"""The paths of some images and their latents, then those of the next ones; at least one image."""

_GROUP_BYTES = 8 * 1024 * 1024
"""Of a Parquet row group, which is in memory until it is written, about."""


def encode(options: argparse.Namespace) -> Exit:
    """Writes a row for each image, in the order of their names."""
    ending = check_ending(options.output, ENDINGS)
    if ending == ".parquet" and importlib.util.find_spec("pyarrow") is None:
        raise UsageError(
            "to write Parquet install pyarrow: pip install 'vaeserve[parquet]'; "
            "or write .npz, .npy or .csv"
        )
    batches = Batches(options.images, "encoded", strict=options.strict)
    with client_of(options) as client, replacing(options.output) as temporary:
        _WRITERS[ending](temporary, batches.answers(client.encode))
    return batches.summary()


def _parquet(path: Path, encoded: Encoded) -> None:
    """Columns `path`, `mean` and `logvar`, the latter lists of float32, flat as in C order."""
    from pyarrow import parquet

    with contextlib.ExitStack() as stack:
        writer = None
        for table in _tables(encoded):
            if writer is None:
                writer = stack.enter_context(parquet.ParquetWriter(path, table.schema))
            writer.write_table(table, row_group_size=len(table))


def _tables(encoded: Encoded) -> Iterator[Any]:
    import pyarrow as pa

    waiting: list[Any] = []
    for paths, latents in encoded:
        columns: dict[str, Any] = {"path": pa.array(paths, pa.string())}
        for name, values in (("mean", latents.mean), ("logvar", latents.logvar)):
            columns[name] = pa.array(list(_flat(values)), pa.list_(pa.float32()))
        about = {"model": latents.model, "version": str(latents.version)}
        about["latent_shape"] = json.dumps(latents.mean.shape[1:])
        waiting.append(pa.record_batch(columns, metadata=about))
        if sum(one.nbytes for one in waiting) >= _GROUP_BYTES:
            yield pa.Table.from_batches(waiting)
            waiting = []
    if waiting:
        yield pa.Table.from_batches(waiting)


def _csv(path: Path, encoded: Encoded) -> None:
    """Columns `path`, `mean_0` …, `logvar_0` …"""
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        for paths, latents in encoded:
            mean, logvar = _flat(latents.mean), _flat(latents.logvar)
            if not file.tell():
                count = range(mean.shape[1])
                rows.writerow(
                    ["path", *(f"{name}_{i}" for name in ("mean", "logvar") for i in count)]
                )
            # NumPy's text of a float32 is the shortest that reads as the same float32.
            texts = np.concatenate([mean, logvar], axis=1).astype(str)
            rows.writerows([name, *row] for name, row in zip(paths, texts, strict=True))


def _npy(path: Path, encoded: Encoded) -> None:
    """The means, float32 [n, *latent_shape]."""
    with path.open("wb") as file:
        n, shape = 0, ()
        for _, latents in encoded:
            if not n:
                shape = latents.mean.shape[1:]
                _head(file, (n, *shape))
            file.write(latents.mean.astype("<f4").tobytes())
            n += len(latents.mean)
        # NumPy leaves room in the header for the first axis to grow.
        file.seek(0)
        _head(file, (n, *shape))


def _head(file: BinaryIO, shape: tuple[int, ...]) -> None:
    head = {"descr": "<f4", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, head)


def _npz(path: Path, encoded: Encoded) -> None:
    """Arrays `path`, `mean` and `logvar`; all of it is in memory until the end."""
    paths, latents = zip(*encoded, strict=True)
    with path.open("wb") as file:
        np.savez(
            file,
            path=np.concatenate(paths),
            mean=np.concatenate([one.mean for one in latents]),
            logvar=np.concatenate([one.logvar for one in latents]),
        )


def _flat(values: Floats) -> Floats:
    return values.reshape(len(values), -1)


_WRITERS: dict[str, Callable[[Path, Encoded], None]] = {
    ".parquet": _parquet,
    ".csv": _csv,
    ".npy": _npy,
    ".npz": _npz,
}
ENDINGS = tuple(_WRITERS)
