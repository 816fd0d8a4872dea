"""Log probabilities of chosen tokens and their best alternatives, from the model's own logits (as vLLM's raw_logprobs)."""

from __future__ import annotations

import torch
from torch import Tensor

from ...protocol import TokenLogprob
from .token_text import TokenTexts

RowLogprobs = tuple[float, list[tuple[int, float]]]
"""(log probability of the chosen token, alternatives best first as (token id, log probability))."""


def gather_logprobs(logprobs: Tensor, tokens: Tensor, alternatives: int) -> list[RowLogprobs]:
    """For each row of ``logprobs`` [rows, vocabulary] that of its entry in ``tokens`` [rows] and the best ``alternatives``.

    One transfer to the host: all goes into one float64 table, which holds token ids exactly.
    """
    best, ids = logprobs.topk(min(alternatives, logprobs.shape[-1]), dim=-1)
    chosen = logprobs.gather(-1, tokens[:, None])
    table = torch.cat([chosen.double(), best.double(), ids.double()], dim=-1).tolist()
    half = best.shape[-1] + 1
    return [
        (row[0], [(int(token), value) for token, value in zip(row[half:], row[1:half], strict=True)]) for row in table
    ]


def token_logprob(texts: TokenTexts, token: int, row: RowLogprobs | None, alternatives: int) -> TokenLogprob:
    """What the wire carries; ``row`` is None for the first token of a prompt, which nothing predicts."""
    chosen, best = row if row is not None else (None, [])
    return TokenLogprob(
        token_id=token,
        token=texts.text_of(token),
        bytes=list(texts.bytes_of(token)),
        logprob=chosen,
        top=[(other, texts.text_of(other), list(texts.bytes_of(other)), value) for other, value in best[:alternatives]],
    )
