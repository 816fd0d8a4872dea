"""vLLM's log probabilities → the wire's. Knows no streams."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ...protocol import TokenLogprob


class LogprobTexts:
    """Text and bytes of single tokens: exact where the tokenizer tells, else what vLLM decoded."""

    def __init__(self, tokenizer: Any) -> None:
        self._exact = None
        if getattr(tokenizer, "backend_tokenizer", None) is not None:
            from ..hf.token_text import TokenTexts

            self._exact = TokenTexts(tokenizer)
        self._tokenizer = tokenizer

    def of(self, token: int) -> tuple[str, list[int]]:
        """Text and UTF-8 bytes."""
        if self._exact is not None:
            return self._exact.text_of(token), list(self._exact.bytes_of(token))
        text = self._tokenizer.decode([token])
        return text, list(text.encode("utf-8", errors="replace"))


def logprob_items(
    texts: LogprobTexts, tokens: Sequence[int], rows: Sequence[Mapping[int, Any] | None], alternatives: int
) -> list[TokenLogprob]:
    """One per token, of an answer or a prompt; None: nothing predicts a prompt's first token."""
    return [_item(texts, token, row, alternatives) for token, row in zip(tokens, rows, strict=True)]


def _item(texts: LogprobTexts, token: int, row: Mapping[int, Any] | None, alternatives: int) -> TokenLogprob:
    text, raw = texts.of(token)
    if row is None:
        return TokenLogprob(token_id=token, token=text, bytes=raw, logprob=None, top=[])
    best = sorted(row.items(), key=lambda entry: entry[1].rank)[:alternatives]
    top = [(other, *texts.of(other), entry.logprob) for other, entry in best if entry.rank <= alternatives]
    return TokenLogprob(token_id=token, token=text, bytes=raw, logprob=row[token].logprob, top=top)
