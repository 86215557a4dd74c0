"""How much one request may carry, as far as the client knows: defaults, and what it was told."""

from __future__ import annotations

from vaeserve.errors import ProblemError

_PICTURES = 64
_ROWS = 4096
_BODY_BYTES = 32 * 1024 * 1024
_PART_BYTES = 200
"""Room for a multipart part's boundary and headers."""

_DEFAULTS = {"/sample": _ROWS, "/decode": _ROWS}
_ROW_FIELDS = ("images", "latents", "n")


class Limits:
    """Begins with the service's defaults; a refusal that names a lower bound lowers them."""

    def __init__(self) -> None:
        self._rows: dict[str, int] = {}
        self.body_bytes = _BODY_BYTES

    def rows(self, path: str) -> int:
        """Most rows of one request of a verb."""
        return self._rows.get(path, _DEFAULTS.get(path, _PICTURES))

    def room_for(self, files: int, length: int) -> bool:
        """Whether a body has room for so many files of `length` bytes together."""
        return length + files * _PART_BYTES <= self.body_bytes

    def learn(self, problem: ProblemError, path: str, rows: int) -> bool:
        """Whether `rows` rows, which were refused, go through in smaller parts."""
        if rows <= 1:
            return False
        if problem.code == "body_too_large" and problem.bound:
            self.body_bytes = min(int(problem.bound), self.body_bytes)
            # Framing may have been what was too much, so the parts get fewer rows in any case.
            self._rows[path] = rows // 2
            return True
        if problem.code == "request_too_large":
            self._rows[path] = rows // 2
            return True
        bound = int(problem.bound or 0)
        counted = problem.code == "invalid_field" and problem.field in _ROW_FIELDS
        if not counted or problem.index is not None or not 1 <= bound < rows:
            return False
        self._rows[path] = bound
        return True
