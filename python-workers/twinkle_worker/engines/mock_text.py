"""The mock engine's vocabulary: bytes, and the words that it says. Knows no request."""

from __future__ import annotations

from ..protocol import Prompt, TokenLogprob

WORDS = (
    *(
        "the",
        "a",
        "one",
        "small",
        "red",
        "blue",
        "warm",
        "quiet",
        "rank",
        "gang",
        "node",
        "token",
        "model",
        "fast",
        "slow",
    ),
    *("bright", "river", "stone", "cloud", "light", "runs", "waits", "sings", "moves", "falls", "here", "there", "now"),
)
FIRST_WORD = 256
VOCAB = FIRST_WORD + len(WORDS)


def tokens_of(prompt: Prompt) -> list[int]:
    """Of a prompt in any form."""
    if prompt.token_ids is not None:
        return prompt.token_ids
    if prompt.messages is not None:
        lines = [f"{message.get('role')}: {message.get('content')}\n" for message in prompt.messages]
        return list("".join(lines).encode() + (b"assistant: " if prompt.add_generation_prompt else b""))
    return list((prompt.text or "").encode())


def text_of(tokens: list[int]) -> str:
    """The inverse of ``tokens_of`` for plain text."""
    parts = [bytes([token]) if token < FIRST_WORD else f" {WORDS[token - FIRST_WORD]}".encode() for token in tokens]
    return b"".join(parts).decode("utf-8", "replace")


def logprob(token: int, known: bool, top: int = 0) -> TokenLogprob:
    """Every token's is -0.5, or none when not ``known``; of ``top`` alternatives there is one, itself."""
    text = text_of([token])
    alternatives = [(token, text, list(text.encode()), -0.5)][:top]
    return TokenLogprob(token, text, list(text.encode()), -0.5 if known else None, alternatives)


def cut(before: str, text: str, stops: list[str], include: bool) -> tuple[str, str | None]:
    """Text of this token up to the first stop string. Words are whole tokens, so nothing of a stop string was sent before."""
    whole = before + text
    hits = [(whole.find(stop, max(0, len(before) - len(stop))), stop) for stop in stops]
    found = min(((at, stop) for at, stop in hits if at >= 0), default=None)
    if found is None:
        return text, None
    end = found[0] + (len(found[1]) if include else 0)
    return whole[len(before) : max(end, len(before))], found[1]
