"""Bounds that serving and training share, for whoever needs no more than the number."""

from __future__ import annotations

MAX_PIXELS = 89_000_000
"""Pixels of the largest image: Pillow warns above about this, and refuses twice the size."""
