"""Turns tokens into text as they come, whole characters only. Knows nothing of stop strings.

Two ways: byte-level tokenizers put bytes together, the others decode a short window again.
"""

from __future__ import annotations

import codecs
from collections.abc import Sequence
from typing import Any, Protocol

from .token_text import TokenTexts

_WINDOW = 6
"""Prompt tokens in front of the first window: enough for decoders that look at a neighbour, such as those that strip spaces."""

_INSIDE = tuple(bytes([byte]) for byte in range(0x80, 0xC0))
"""Bytes that go on with a character of UTF-8."""
_LONGEST = 4
"""Bytes of a character in UTF-8."""


class Detokenizer(Protocol):
    """Text of one answer, piece by piece."""

    def push(self, token: int) -> str:
        """Characters that became whole; may be empty."""
        ...

    def flush(self) -> str:
        """What is left at the end: U+FFFD for a character that was cut off."""
        ...


class ByteDetokenizer:
    """For byte-level tokenizers."""

    def __init__(self, texts: TokenTexts, skip_special: bool) -> None:
        self._bytes_of = texts.bytes_of
        self._skip = texts.special if skip_special else frozenset()
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def push(self, token: int) -> str:
        """Characters that became whole; may be empty."""
        return "" if token in self._skip else self._decoder.decode(self._bytes_of(token))

    def flush(self) -> str:
        """What is left at the end: U+FFFD for a character that was cut off."""
        return self._decoder.decode(b"", final=True)


class WindowDetokenizer:
    """For all others: decodes the tokens since the last certain text, with those before them for context."""

    def __init__(self, tokenizer: Any, texts: TokenTexts, prompt: Sequence[int], skip_special: bool) -> None:
        self._tokenizer = tokenizer
        self._skip = texts.special if skip_special else frozenset()
        start = max(0, len(prompt) - _WINDOW)
        # Decoders that fall back to bytes give up a whole run of bytes that begins within a character.
        for _ in range(_LONGEST - 1):
            start -= start > 0 and texts.bytes_of(prompt[start])[:1] in _INSIDE
        self._tokens = [token for token in prompt[start:] if token not in texts.special]
        self._start = 0
        self._read = len(self._tokens)

    def _decode(self, tokens: Sequence[int]) -> str:
        return self._tokenizer.decode(tokens, skip_special_tokens=False, clean_up_tokenization_spaces=False)

    def push(self, token: int) -> str:
        """Characters that became whole; may be empty."""
        if token in self._skip:
            return ""
        self._tokens.append(token)
        text = self._pending()
        if text == "" or text.endswith("\ufffd"):
            return ""
        self._start, self._read = self._read, len(self._tokens)
        return text

    def flush(self) -> str:
        """What is left at the end: U+FFFD for a character that was cut off."""
        text = self._pending()
        self._start = self._read = len(self._tokens)
        return text

    def _pending(self) -> str:
        before = self._decode(self._tokens[self._start : self._read])
        return self._decode(self._tokens[self._start :])[len(before) :]


def create_detokenizer(tokenizer: Any, texts: TokenTexts, prompt: Sequence[int], skip_special: bool) -> Detokenizer:
    """The detokenizer that fits the tokenizer; ``prompt`` gives the context of the first token."""
    if texts.byte_level:
        return ByteDetokenizer(texts, skip_special)
    return WindowDetokenizer(tokenizer, texts, prompt, skip_special)
