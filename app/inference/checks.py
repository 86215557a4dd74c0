"""What verbs hold of numbers that only they know: how many are asked for, and what came out."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from app.errors import EngineFailedError, InvalidFieldError


def check_count(count: int, field: str, limit: int) -> None:
    """Raises InvalidFieldError where there are none or more than `limit`."""
    if not 1 <= count <= limit:
        detail = f"{field} must be 1 … {limit}, got {count}"
        raise InvalidFieldError(detail, field=field, limit=limit)


def check_finite(finite: NDArray[np.bool_], field: str | None = None, first: int = 0) -> None:
    """Holds that every image consists of numbers, bool [n]; `first` is the first one's row.

    Raises:
        InvalidFieldError: one does not, with `field`: the caller's own latents or radius are at
            fault.
        EngineFailedError: one does not, without it.
    """
    if finite.all():
        return
    row = first + int(np.argmin(finite))
    if field == "radius":
        msg = f"image {row} has pixels that are no finite numbers; send a smaller radius"
        raise InvalidFieldError(msg, field=field, index=row)
    if field is None:
        msg = f"the decoder answered image {row} with pixels that are no finite numbers"
        raise EngineFailedError(msg, index=row)
    msg = f"{field}[{row}] decodes to pixels that are no finite numbers; send smaller values"
    raise InvalidFieldError(msg, field=field, index=row)
