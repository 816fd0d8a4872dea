"""Finds stop strings in text that arrives in pieces. Knows nothing of tokens.

The stop string that is complete first wins; of those complete at the same character, the longest. That does not depend on how the
text was cut into pieces. Text is held back only while it could be the beginning of a stop string.
"""

from __future__ import annotations

from collections.abc import Sequence


class StopMatcher:
    """Push pieces in; what is certain comes out."""

    def __init__(self, stops: Sequence[str], include: bool) -> None:
        """``stops``: non-empty strings; ``include``: the text keeps the stop string that ended it."""
        self._stops = stops
        self._include = include
        self._held = ""
        self.matched: str | None = None

    def push(self, piece: str) -> str:
        """Text that became certain; after a match ``matched`` names it and nothing more may be pushed."""
        if not self._stops or not piece:
            return piece
        text = self._held + piece
        best: tuple[int, int] | None = None
        for stop in self._stops:
            at = text.find(stop)
            if at >= 0 and (best is None or (at + len(stop), at) < best):
                best = (at + len(stop), at)
        if best is not None:
            end, start = best
            self.matched = text[start:end]
            self._held = ""
            return text[:end] if self._include else text[:start]
        keep = self._undecided(text)
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep]

    def _undecided(self, text: str) -> int:
        """Length of the longest end of ``text`` that begins a stop string."""
        longest = 0
        for stop in self._stops:
            for size in range(min(len(stop) - 1, len(text)), longest, -1):
                if text.endswith(stop[:size]):
                    longest = size
                    break
        return longest

    def flush(self) -> str:
        """The text held back, when no more is to come."""
        text, self._held = self._held, ""
        return text
