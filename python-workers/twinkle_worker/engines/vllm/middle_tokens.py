"""The short way of most tokens: in the middle of a plain stream they need their text and vLLM's statistics, and none of its objects.

First and last outputs, log probabilities, stop strings and several choices go vLLM's own way.
"""

from __future__ import annotations

from typing import Any

from ...protocol import TokenDelta


def may_take_the_short_way(sampling: Any) -> bool:
    """Whether a request with these sampling parameters (vLLM's) gets nothing but text and ids between its first and last output."""
    return sampling.n == 1 and sampling.logprobs is None and sampling.prompt_logprobs is None and not sampling.stop


class MiddleTokens:
    """Looks into vLLM's OutputProcessor, for requests that ``may_take_the_short_way``."""

    def __init__(self, processor: Any) -> None:
        self._states: dict[str, Any] = processor.request_states
        self._count = processor._update_stats_from_output

    def delta(self, output: Any, timestamp: float, stats: Any) -> TokenDelta | None:
        """What the stream gained, counted; None: ``output`` is for vLLM to process.

        output: an EngineCoreOutput. timestamp: of the step, s. stats: IterationStats, or None when nothing is counted.
        """
        state = self._states.get(output.request_id)
        if state is None or output.finish_reason is not None or state.is_prefilling:
            return None
        tokens: list[int] = output.new_token_ids
        self._count(state, output, timestamp, stats)
        detokenizer = state.detokenizer
        detokenizer.update(tokens, False)
        text = detokenizer.get_next_output_text(False, True)
        return TokenDelta(
            choice=0, text=text, token_ids=tokens, logprobs=None, finish=None, stop_reason=None, prompt=None
        )
