"""Checks a request's numbers against the model. The gateway has checked types; here is what only an engine can know."""

from __future__ import annotations

import math

from ...protocol import GenerateParams
from ..base import RequestError

_MOST_CHOICES = 128
"""As in OpenAI's API. More than fit the batch are made in turns."""


def check_request(params: GenerateParams, vocabulary: int, max_logprobs: int) -> None:
    """Raise RequestError for a value out of range."""
    sampling = params.sampling
    if not 1 <= params.n <= _MOST_CHOICES:
        raise _invalid("n", f"an integer from 1 to {_MOST_CHOICES}", params.n)
    _in_range("temperature", sampling.temperature, 0, math.inf)
    _in_range("min_p", sampling.min_p, 0, 1)
    _in_range("presence_penalty", sampling.presence_penalty, -2, 2)
    _in_range("frequency_penalty", sampling.frequency_penalty, -2, 2)
    if not 0 < sampling.top_p <= 1:
        raise _invalid("top_p", "a number over 0 and at most 1", sampling.top_p)
    if not 0 < sampling.repetition_penalty < math.inf:
        raise _invalid("repetition_penalty", "a number over 0", sampling.repetition_penalty)
    if sampling.top_k < 0:
        raise _invalid("top_k", "an integer of at least 0", sampling.top_k)
    if sampling.max_tokens is not None and sampling.max_tokens < 0:
        raise _invalid("max_tokens", "an integer of at least 0", sampling.max_tokens)
    if sampling.min_tokens < 0 or (sampling.max_tokens is not None and sampling.min_tokens > sampling.max_tokens):
        raise _invalid("min_tokens", "an integer from 0 to max_tokens", sampling.min_tokens)
    if "" in sampling.stop:
        raise _invalid("stop", "no empty stop string", sampling.stop)
    for name, count in (("logprobs", sampling.logprobs), ("prompt_logprobs", sampling.prompt_logprobs)):
        if count is not None and not 0 <= count <= max_logprobs:
            raise _invalid(name, f"an integer from 0 to {max_logprobs} (max_logprobs of this server)", count)
    _known_tokens("stop_token_ids", sampling.stop_token_ids, vocabulary)
    _known_tokens("logit_bias", [token for token, _ in sampling.logit_bias], vocabulary)
    for _, bias in sampling.logit_bias:
        _in_range("logit_bias", bias, -100, 100)


def _invalid(name: str, expected: str, value: object) -> RequestError:
    return RequestError("INVALID_REQUEST", f"expected {expected} for `{name}` but received {value!r}", name)


def _in_range(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high or math.isinf(value):
        raise _invalid(
            name, f"a number from {low} to {high}" if high < math.inf else f"a number of at least {low}", value
        )


def _known_tokens(name: str, tokens: list[int], vocabulary: int) -> None:
    for token in tokens:
        if not 0 <= token < vocabulary:
            raise _invalid(name, f"token ids from 0 to {vocabulary - 1}", token)
