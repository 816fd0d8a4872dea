"""From a drawn token to what the stream gains: text, finish, logprobs. Knows nothing of tensors."""

from __future__ import annotations

from ...protocol import TokenDelta
from .logprobs import RowLogprobs, token_logprob
from .request import Choice
from .token_text import TokenTexts


def take_token(
    choice: Choice, token: int, logprobs: RowLogprobs | None, eos: frozenset[int], texts: TokenTexts
) -> TokenDelta:
    """Append ``token`` to a choice. A finish in the delta is its end."""
    params, text = choice.sampling, choice.text
    choice.output.append(token)
    choice.request.completion_tokens += 1
    count = len(choice.output)
    finish: str | None = None
    reason: str | int | None = None
    if token in choice.stop_ids:
        piece = text.finish_with(token) if params.include_stop_str_in_output else text.finish()
        finish = "stop"
        reason = None if token in eos and not params.ignore_eos else token
    else:
        piece = text.push(token, may_stop=count > params.min_tokens)
        if text.stopped_by is None and count >= choice.max_tokens:
            piece += text.finish()
            finish = "length"
        if text.stopped_by is not None:
            finish, reason = "stop", text.stopped_by
    scored = None
    if logprobs is not None:
        scored = [token_logprob(texts, token, logprobs, params.logprobs or 0)]
    info = choice.request.prompt_info
    if info is not None:
        choice.request.prompt_info = None
    return TokenDelta(
        choice=choice.index,
        text=piece,
        token_ids=[token],
        logprobs=scored,
        finish=finish,
        stop_reason=reason,
        prompt=info,
    )
