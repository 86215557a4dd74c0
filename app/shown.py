"""What a decoder answered → pictures for showing, once it is known to be numbers."""

from __future__ import annotations

import numpy as np

from app.errors import EngineFailedError, InvalidFieldError
from model import likelihood, pixels
from model.likelihood import Nats
from model.pixels import Floats, Images


def show(decoded: Floats, value_range: pixels.Range, field: str | None = None) -> Images:
    """float32 [n, c, h, w] in `value_range` → uint8 [n, h, w, c].

    Args:
        decoded: what the decoder answered.
        value_range: of the model.
        field: the caller's own latents, which are at fault if the answer is no number.

    Raises:
        InvalidFieldError: an infinite or undefined pixel, with `field`.
        EngineFailedError: an infinite or undefined pixel, without it.
    """
    finite = np.isfinite(decoded)
    if not finite.all():
        raise _not_finite(int(np.argmin(finite.reshape(len(decoded), -1).all(axis=1))), field)
    with np.errstate(over="ignore"):  # beyond float32 is beyond white
        return pixels.to_uint8(decoded, value_range)


def compare(rows: Floats, decoded: Floats, value_range: pixels.Range) -> tuple[Images, Nats]:
    """The decoded pictures for showing, and their squared errors in units of [0, 1].

    Raises:
        EngineFailedError: an infinite or undefined pixel.
    """
    shown = show(decoded, value_range)
    low, high = value_range
    return shown, likelihood.squared_error(rows, decoded) / (high - low) ** 2


def _not_finite(row: int, field: str | None) -> InvalidFieldError | EngineFailedError:
    if field is None:
        msg = f"the decoder answered picture {row} with pixels that are no finite numbers"
        return EngineFailedError(msg, index=row)
    msg = f"{field}[{row}] decodes to pixels that are no finite numbers; send smaller values"
    return InvalidFieldError(msg, field=field, index=row)
