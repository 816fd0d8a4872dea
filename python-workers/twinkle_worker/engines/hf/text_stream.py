"""Text of one choice: detokeniser and stop strings together."""

from __future__ import annotations

from .detokenizer import Detokenizer
from .stop_matcher import StopMatcher


class TextStream:
    """Push tokens in, certain text comes out."""

    def __init__(self, detokenizer: Detokenizer, matcher: StopMatcher) -> None:
        self._detokenizer = detokenizer
        self._matcher = matcher

    @property
    def stopped_by(self) -> str | None:
        """The stop string that ended the text."""
        return self._matcher.matched

    def push(self, token: int, may_stop: bool) -> str:
        """Certain text after one more token; ``may_stop`` False (before min_tokens) looks for no stop string in it."""
        piece = self._detokenizer.push(token)
        return self._matcher.push(piece) if may_stop else piece

    def finish(self) -> str:
        """The rest of the text; may still complete a stop string. Empty when a stop string has ended it."""
        if self._matcher.matched is not None:
            return ""
        return self._matcher.push(self._detokenizer.flush()) + self._matcher.flush()

    def finish_with(self, token: int) -> str:
        """The rest of the text with a last token that belongs to it though it ended the answer."""
        return self._matcher.flush() + self._detokenizer.push(token) + self._detokenizer.flush()
