"""Counter-based random numbers: a row's noise depends on (seed, purpose, row) and nothing else.

The bits come from Philox 4×64-10 (Salmon et al. 2011, "Parallel random numbers: as easy as
1, 2, 3"), keyed by (seed, purpose); a row of m values owns the ⌈m/4⌉ counter blocks from
row · ⌈m/4⌉ + 1 on, as the paper counts: NumPy raises the counter before it makes a block, and
block 0 is never used. So any range of rows can be drawn alone, in any order and in any batch.

Normal values are the inverse cumulative distribution of a 52-bit uniform by algorithm AS 241
(Wichura 1988, routine PPND7, relative error about 1e-7). Its logarithm is computed here from
additions, multiplications and divisions, which IEEE 754 rounds exactly: NumPy's own `log`
differs in the last bit between processors, and NumPy's `standard_normal` between versions.
The values are therefore bit-equal on every machine.
"""

from __future__ import annotations

import enum
import math
import threading
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

MAX_SEED = 2**53 - 1
"""The largest seed: every JSON client carries integers up to it exactly."""

_WORDS_PER_BLOCK = 4
_LN2 = 0.6931471805599453
_SQRT_HALF = 0.7071067811865476

# AS 241, PPND7: coefficients [4, 2, 1] of numerator and denominator, the highest degree first.
_CENTRAL = np.array(
    (
        (5.9109374720e01, 6.7187563600e01),
        (1.5929113202e02, 7.8757757664e01),
        (5.0434271938e01, 1.7895169469e01),
        (3.3871327179e00, 1.0),
    )
)[:, :, np.newaxis]
_MIDDLE = np.array(
    (
        (1.7023821103e-01, 0.0),
        (1.3067284816e00, 1.2021132975e-01),
        (2.7568153900e00, 7.3700164250e-01),
        (1.4234372777e00, 1.0),
    )
)[:, :, np.newaxis]
_FAR = np.array(
    (
        (1.7337203997e-02, 0.0),
        (4.2868294337e-01, 1.2258202635e-02),
        (3.0812263860e00, 2.4197894225e-01),
        (6.6579051150e00, 1.0),
    )
)[:, :, np.newaxis]


class Purpose(enum.IntEnum):
    """What noise is for; different purposes under one seed are independent."""

    PRIOR = 1
    POSTERIOR = 2
    BINARISE = 3
    COMPONENT = 4


def uniform(
    seed: int, purpose: Purpose, first_row: int, rows: int, shape: Sequence[int]
) -> NDArray[np.float64]:
    """Uniform values in (0, 1), float64 [rows, *shape], for rows first_row … first_row+rows-1.

    Raises:
        ValueError: the seed is outside 0 … 2^53 − 1.
    """
    size = math.prod(shape)
    blocks = -(-size // _WORDS_PER_BLOCK)
    words = _words(first_row * blocks, seed, purpose, rows * blocks * _WORDS_PER_BLOCK)
    return _to_unit(words.reshape(rows, blocks * _WORDS_PER_BLOCK)[:, :size]).reshape(rows, *shape)


def _to_unit(words: NDArray[np.uint64]) -> NDArray[np.float64]:
    # The half step keeps 0 and 1 out, where the inverse normal is infinite.
    return ((words >> np.uint64(12)).astype(np.float64) + 0.5) * 2.0**-52


class _PerThread(threading.local):
    """A generator for each thread: to make one takes several times as long as to draw a row."""

    def __init__(self) -> None:
        self.philox = np.random.Philox(0)


_PER_THREAD = _PerThread()


def _words(counter: int, seed: int, purpose: Purpose, count: int) -> NDArray[np.uint64]:
    """`count` words of 64 random bits from block `counter` + 1 on."""
    if not 0 <= seed <= MAX_SEED:
        raise ValueError(f"a seed must be 0 … {MAX_SEED}, got {seed}")
    philox = _PER_THREAD.philox
    philox.state = {
        "bit_generator": "Philox",
        "state": {
            "counter": np.array([counter, 0, 0, 0], dtype=np.uint64),
            "key": np.array([seed, purpose], dtype=np.uint64),
        },
        # An empty buffer: what an earlier call left there is of another key.
        "buffer": np.zeros(_WORDS_PER_BLOCK, dtype=np.uint64),
        "buffer_pos": _WORDS_PER_BLOCK,
        "has_uint32": 0,
        "uinteger": 0,
    }
    words: NDArray[np.uint64] = philox.random_raw(count)
    return words


def standard_normal(
    seed: int, purpose: Purpose, first_row: int, rows: int, shape: Sequence[int]
) -> NDArray[np.float32]:
    """N(0, 1) values, float32 [rows, *shape]; arguments and errors as for `uniform`."""
    return _inverse_normal(uniform(seed, purpose, first_row, rows, shape)).astype(np.float32)


def standard_normal_rows(
    seeds: Sequence[int], rows: Sequence[int], purpose: Purpose, shape: Sequence[int]
) -> NDArray[np.float32]:
    """N(0, 1) values, float32 [n, *shape]; arguments and errors as for `uniform_rows`."""
    return _inverse_normal(uniform_rows(seeds, rows, purpose, shape)).astype(np.float32)


def uniform_rows(
    seeds: Sequence[int], rows: Sequence[int], purpose: Purpose, shape: Sequence[int]
) -> NDArray[np.float64]:
    """Uniform values in (0, 1), float64 [n, *shape], of n rows that may each have a seed of their
    own.

    Row i is row `rows[i]` of `seeds[i]`. Errors as for `uniform`.
    """
    size = math.prod(shape)
    blocks = -(-size // _WORDS_PER_BLOCK)
    words = np.empty((len(seeds), blocks * _WORDS_PER_BLOCK), np.uint64)
    start = 0
    for stop in range(1, len(seeds) + 1):
        following = stop - start
        if stop < len(seeds) and (seeds[stop], rows[stop]) == (
            seeds[start],
            rows[start] + following,
        ):
            continue
        drawn = _words(
            rows[start] * blocks, seeds[start], purpose, following * blocks * _WORDS_PER_BLOCK
        )
        words[start:stop] = drawn.reshape(following, words.shape[1])
        start = stop
    return _to_unit(words[:, :size]).reshape(len(seeds), *shape)


def _inverse_normal(probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    probability = probabilities.reshape(-1)
    centred = probability - 0.5
    value = centred * _rational(_CENTRAL, 0.180625 - centred * centred)
    # One value in seven lies here, and only these need the logarithm.
    outside = np.flatnonzero(np.abs(centred) > 0.425)
    side = centred[outside]
    tail = np.sqrt(-_log(np.minimum(lower := probability[outside], 1 - lower)))
    ratio = _rational(_MIDDLE, tail - 1.6)
    far = tail > 5
    if far.any():
        ratio[far] = _rational(_FAR, tail[far] - 5)
    value[outside] = np.copysign(ratio, side)
    return value.reshape(probabilities.shape)


def _rational(
    coefficients: NDArray[np.float64], argument: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Two polynomials of an argument [n], the first over the second, by Horner's scheme."""
    third, second, first, constant = coefficients
    both = third * argument
    both += second
    both *= argument
    both += first
    both *= argument
    both += constant
    quotient: NDArray[np.float64] = both[0] / both[1]
    return quotient


def _log(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """ln x = (e − ½) ln 2 + 2 artanh((m − c)/(m + c)) with x = m 2^e and c = √½, to 1e-10."""
    mantissa, exponent = np.frexp(x)
    ratio = (mantissa - _SQRT_HALF) / (mantissa + _SQRT_HALF)
    square = ratio * ratio
    series = square * (1 / 11) + 1 / 9
    for odd in (7, 5, 3, 1):
        series *= square
        series += 1 / odd
    logarithm: NDArray[np.float64] = (exponent - 0.5) * _LN2 + 2 * ratio * series
    return logarithm
