"""Which images are held back: a function of each image's own bytes.

An image's key is a hash of its file, and it is held back where the key lies in the lowest part
of all keys that `share` asks for. So equal files are never on two sides, and no seed, order or
other image moves one from side to side; the price is that the part is met about, and not
exactly (the binomial's standard deviation: 68 of 5,000 from 60,000).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Keys = NDArray[np.uint64]
"""[n, 2]: two independent numbers for each image, evenly spread over 64 bits. The first decides
about the test split and the second about the validation split; both together name the image."""

_KEY_BYTES = 16
_RANGE = 2**64


def to_keys(digests: Sequence[bytes]) -> Keys:
    """Keys of the images that `image_digest` gave the digests of."""
    return np.frombuffer(b"".join(digests), dtype="<u8").reshape(-1, 2).astype(np.uint64)


def image_digest(content: bytes) -> bytes:
    """BLAKE2b of an image's file, 16 bytes."""
    return hashlib.blake2b(content, digest_size=_KEY_BYTES).digest()


def hold_back(keys: NDArray[np.uint64], share: float) -> NDArray[np.bool_]:
    """Which of the images [n] with these keys [n] are held back, for a share in 0 … 1.

    A small set may have no key inside or no key outside that part. Then the lowest is held back, or
    the highest kept, so that neither side is empty. Only then can an image move when others are
    added.
    """
    held: NDArray[np.bool_] = keys < np.uint64(int(share * _RANGE))
    if share and len(keys) and keys.min() < keys.max():
        held |= keys == keys.min()
        held &= keys != keys.max()
    return held


def digest_of_split(keys: Keys, *parts: NDArray[np.bool_]) -> str:
    """SHA-256 over which images are in which of the parts, bool [n] each; their order does not
    matter, nor how often one is there."""
    digest = hashlib.sha256()
    for chosen in parts:
        ordered = np.unique(keys[chosen], axis=0)
        digest.update(len(ordered).to_bytes(8, "little"))
        digest.update(ordered.astype("<u8").tobytes())
    return digest.hexdigest()
