"""Counter-based random numbers: a row's noise depends on (seed, purpose, row) and nothing else.

The bits come from Philox 4×64-10 (Salmon et al. 2011, "Parallel random numbers: as easy as
1, 2, 3"), keyed by (seed, purpose); a row of m values owns the ⌈m/4⌉ counter blocks from
row · ⌈m/4⌉ on. So any range of rows can be drawn alone, in any order and in any batch.

Normal values are the inverse cumulative distribution of a 52-bit uniform by algorithm AS 241
(Wichura 1988, routine PPND7, relative error about 1e-7). Its logarithm is computed here from
additions, multiplications and divisions, which IEEE 754 rounds exactly: NumPy's own `log`
differs in the last bit between processors, and NumPy's `standard_normal` between versions.
The values are therefore bit-equal on every machine.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

MAX_SEED = 2**53 - 1
"""The largest seed: every JSON client carries integers up to it exactly."""

_WORDS_PER_BLOCK = 4
_LN2 = 0.6931471805599453

# AS 241, PPND7. A row is a degree, a column a region: central, middle, far tail.
_NUMERATOR = np.array(
    [
        [3.3871327179e00, 1.4234372777e00, 6.6579051150e00],
        [5.0434271938e01, 2.7568153900e00, 3.0812263860e00],
        [1.5929113202e02, 1.3067284816e00, 4.2868294337e-01],
        [5.9109374720e01, 1.7023821103e-01, 1.7337203997e-02],
    ]
)
_DENOMINATOR = np.array(
    [
        [1.0, 1.0, 1.0],
        [1.7895169469e01, 7.3700164250e-01, 2.4197894225e-01],
        [7.8757757664e01, 1.2021132975e-01, 1.2258202635e-02],
        [6.7187563600e01, 0.0, 0.0],
    ]
)


class Purpose(enum.IntEnum):
    """What noise is for; different purposes under one seed are independent."""

    PRIOR = 1
    POSTERIOR = 2
    BINARISE = 3


def uniform(
    seed: int, purpose: Purpose, first_row: int, rows: int, shape: Sequence[int]
) -> NDArray[np.float64]:
    """Uniform values in (0, 1), float64 [rows, *shape], for rows first_row … first_row+rows-1.

    Raises:
        ValueError: the seed is outside 0 … 2^53 − 1.
    """
    if not 0 <= seed <= MAX_SEED:
        msg = f"a seed lies in 0 … {MAX_SEED}, got {seed}"
        raise ValueError(msg)
    size = math.prod(shape)
    blocks = -(-size // _WORDS_PER_BLOCK)
    bits = np.random.Philox(counter=first_row * blocks, key=seed + (int(purpose) << 64))
    words = bits.random_raw(rows * blocks * _WORDS_PER_BLOCK)
    kept = words.reshape(rows, blocks * _WORDS_PER_BLOCK)[:, :size]
    # The half step keeps 0 and 1 out, where the inverse normal is infinite.
    values = ((kept >> np.uint64(12)).astype(np.float64) + 0.5) * 2.0**-52
    return values.reshape(rows, *shape)


def standard_normal(
    seed: int, purpose: Purpose, first_row: int, rows: int, shape: Sequence[int]
) -> NDArray[np.float32]:
    """N(0, 1) values, float32 [rows, *shape]; arguments and errors as for `uniform`."""
    return _inverse_normal(uniform(seed, purpose, first_row, rows, shape)).astype(np.float32)


def _inverse_normal(probability: NDArray[np.float64]) -> NDArray[np.float64]:
    centred = probability - 0.5
    tail = np.sqrt(-_log(np.minimum(probability, 1 - probability)))
    region = np.where(np.abs(centred) <= 0.425, 0, np.where(tail <= 5, 1, 2))
    argument = np.where(region == 0, 0.180625 - centred * centred, tail - 1.6)
    argument = np.where(region == 2, tail - 5, argument)
    ratio = _polynomial(_NUMERATOR, region, argument) / _polynomial(_DENOMINATOR, region, argument)
    return np.where(region == 0, centred * ratio, np.copysign(ratio, centred))


def _polynomial(
    table: NDArray[np.float64], region: NDArray[np.int64], argument: NDArray[np.float64]
) -> NDArray[np.float64]:
    value: NDArray[np.float64] = table[-1][region]
    for coefficients in table[-2::-1]:
        value = value * argument + coefficients[region]
    return value


def _log(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """ln x = e ln 2 + 2 artanh((m−1)/(m+1)) with x = m 2^e, to about 1e-10."""
    mantissa, exponent = np.frexp(x)
    ratio = (mantissa - 1) / (mantissa + 1)
    square = ratio * ratio
    series = np.full_like(square, 1 / 19)
    for odd in range(17, 0, -2):
        series = series * square + 1 / odd
    logarithm: NDArray[np.float64] = exponent * _LN2 + 2 * ratio * series
    return logarithm
