"""The families of likelihoods p(x|z), each one class: all that its name decides.

A family is a subclass of `Likelihood` with an entry in `FAMILIES`, and its options for training
are a class of `model.config`. A formula is written once over `Arrays`, which NumPy (`NUMPY`, for
serving) and torch (`model.networks.elbo.TORCH`, for training) implement.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from model.config import LEVELS, LOGISTIC_SCALE_FLOOR, SCALE_FLOOR, Binarisation

Array = Any
"""A NumPy array or a torch tensor."""
Scale = float | tuple[float, ...]

INITIAL_SCALE = 0.25
"""Where a learned Gaussian scale starts: about the spread of natural pixels, which a network that
knows only their mean would leave."""
_LOG_2PI = math.log(2 * math.pi)


class Arrays(Protocol):
    """The array functions that the formulas need."""

    def like(self, value: Array, array: Array) -> Array:
        """The value in the array's type."""

    def log(self, value: Array) -> Array: ...

    def expm1(self, value: Array) -> Array: ...

    def square(self, value: Array) -> Array: ...

    def round(self, value: Array) -> Array: ...

    def where(self, condition: Array, value: Array, other: float, /) -> Array: ...

    def log_sigmoid(self, logits: Array) -> Array: ...

    def log_bernoulli(self, targets: Array, logits: Array) -> Array:
        """x·l − softplus(l) of binary targets, finite for any finite logit."""

    def sum_per_row(self, terms: Array) -> Array:
        """The sum [n] over all axes but the first."""


class Likelihood(ABC):
    """A family of distributions of pixels in [0, 1], given the decoder's `params`."""

    family: ClassVar[str]
    """Its name in configurations and manifests, and its key in `FAMILIES`."""
    is_density: ClassVar[bool] = False
    """Whether it is a density, in nats per dimension, or a probability, in bits per dimension."""
    is_binary: ClassVar[bool] = False
    """Whether its pixels are 0 or 1, so that grey images must be binarised."""
    has_scale: ClassVar[bool] = True
    members: ClassVar[str]
    """Which members of a manifest it needs, for an error message."""
    scale_by_channel: ClassVar[bool] = False
    scale_floor: ClassVar[float] = SCALE_FLOOR
    """The least learned scale."""
    initial_scale: ClassVar[float] = INITIAL_SCALE
    levels: ClassVar[int | None] = None
    """How many grey levels it is a distribution over."""

    @abstractmethod
    def log_probability(
        self, arrays: Arrays, targets: Array, params: Array, scale: Array, levels: int | None = None
    ) -> Array:
        """log p(x|z) [n], in nats, of targets [n, c, h, w] under params of the same shape."""

    @property
    def binarisations(self) -> tuple[Binarisation, ...]:
        """How images may be made binary for it."""
        return ("sample", "threshold") if self.is_binary else ("none",)

    def check(self, scale: Scale | None, levels: int | None) -> None:
        """Raises ValueError if a manifest's scale and levels are not those of the family."""
        kind = None if scale is None else isinstance(scale, tuple)
        wanted = self.scale_by_channel if self.has_scale else None
        if kind != wanted or (levels is None) != (self.levels is None):
            raise ValueError(f"a {self.family} likelihood {self.members}")


class Bernoulli(Likelihood):
    """p(x|z) of binary pixels under the logits `params`."""

    family = "bernoulli"
    is_binary = True
    has_scale = False
    members = "has neither scale nor levels; leave them out"

    def log_probability(
        self, arrays: Arrays, targets: Array, params: Array, scale: Array, levels: int | None = None
    ) -> Array:
        return arrays.sum_per_row(arrays.log_bernoulli(targets, params))


class Gaussian(Likelihood):
    """N(x; params, scale² I), one standard deviation; a density, so its logarithm may exceed 0."""

    family = "gaussian"
    is_density = True
    members = "needs a scale, its standard deviation, and no levels"

    def log_probability(
        self, arrays: Arrays, targets: Array, params: Array, scale: Array, levels: int | None = None
    ) -> Array:
        differences = (targets - params) / arrays.like(scale, params)
        squares = arrays.sum_per_row(arrays.square(differences))
        size = math.prod(params.shape[1:])
        return -0.5 * squares - size * (arrays.log(scale) + 0.5 * _LOG_2PI)


class DiscretisedLogistic(Likelihood):
    """The probability that a logistic variable of mean `params` and scale [c] rounds to x.

    p(x) = S(b) − S(a), where S is the sigmoid and a and b are the ends of the grey level's bin,
    (x ∓ half a level − mean)/scale. The lowest level's bin has no lower end and the highest's no
    upper one (Kingma et al. 2016, appendix; Salimans et al. 2017, equation 2). A difference of
    sigmoids is 0 in float32 long before its logarithm is infinite, so this computes

        log(S(b) − S(a)) = log S(b) + log S(−a) + log(1 − exp(a − b)),

    which is exact, and whose terms and gradients are finite however far x is from the mean. It
    counts in grey levels: adjacent bins then share an end with the same bits, and the
    probabilities sum to 1.
    """

    family = "logistic"
    scale_by_channel = True
    members = "needs levels, and a list of scales, one a channel"
    scale_floor = LOGISTIC_SCALE_FLOOR
    # The standard deviation of a logistic variable is π/√3 times its scale.
    initial_scale = INITIAL_SCALE * math.sqrt(3) / math.pi
    levels = LEVELS

    def log_probability(
        self, arrays: Arrays, targets: Array, params: Array, scale: Array, levels: int | None = None
    ) -> Array:
        last = (levels or LEVELS) - 1
        level, middle = arrays.round(targets * last), params * last
        width = (arrays.like(scale, params) * last).reshape(-1, 1, 1)
        lower, upper = (level - 0.5 - middle) / width, (level + 0.5 - middle) / width
        below = arrays.where(level < last, arrays.log_sigmoid(upper), 0)
        above = arrays.where(level > 0, arrays.log_sigmoid(-lower), 0)
        inside = (level > 0) & (level < last)
        between = arrays.where(inside, arrays.log(-arrays.expm1(-1 / width)), 0)
        return arrays.sum_per_row(below + above + between)


FAMILIES: Mapping[str, Likelihood] = {
    likelihood.family: likelihood for likelihood in (Bernoulli(), Gaussian(), DiscretisedLogistic())
}


class _NumpyArrays:
    """`Arrays` in NumPy: float32 values, float64 sums."""

    log = staticmethod(np.log)
    expm1 = staticmethod(np.expm1)
    square = staticmethod(np.square)
    round = staticmethod(np.rint)

    def like(self, value: Array, array: Array) -> Array:
        return np.asarray(value, array.dtype)

    def where(self, condition: Array, value: Array, other: float, /) -> Array:
        return np.where(condition, value, other)

    def log_sigmoid(self, logits: Array) -> Array:
        return np.asarray(np.minimum(logits, 0) - np.log1p(np.exp(-np.abs(logits))), np.float32)

    def log_bernoulli(self, targets: Array, logits: Array) -> Array:
        softplus = np.maximum(logits, 0) + np.log1p(np.exp(-np.abs(logits)))
        return targets * logits - softplus

    def sum_per_row(self, terms: Array) -> NDArray[np.float64]:
        return np.asarray(terms.reshape(len(terms), -1).sum(axis=1, dtype=np.float64))


NUMPY: Arrays = _NumpyArrays()
