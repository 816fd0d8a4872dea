"""What a prompt may be, whatever engine computes it: ids that the model knows, and room in its context. Knows no tokenizer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..protocol import Prompt
from .base import RequestError


@dataclass(frozen=True, slots=True)
class PromptLimits:
    """Limits of one model.

    vocabulary: ids below this have an embedding
    max_model_len: tokens, prompt and answer together
    """

    vocabulary: int
    max_model_len: int

    def check_ids(self, tokens: Sequence[int], param: str) -> None:
        """Raise RequestError for the first id that is none of the model's."""
        for token in tokens:
            if not 0 <= token < self.vocabulary:
                raise RequestError(
                    "INVALID_REQUEST", f"expected token ids from 0 to {self.vocabulary - 1} but received {token}", param
                )

    def room(self, prompt: Prompt, length: int, max_tokens: int | None, otherwise: int | None = None) -> int:
        """How many tokens may follow ``length`` of them. Raises RequestError when they, or ``max_tokens`` more, do not fit.

        otherwise: at most so many where ``max_tokens`` is None; more than fit are no error then
        """
        param = "prompt" if prompt.messages is None else "messages"
        opening = f"This model's maximum context length is {self.max_model_len} tokens. However, "
        if length + (1 if max_tokens is None else min(1, max_tokens)) > self.max_model_len:
            raise RequestError(
                "CONTEXT_LENGTH_EXCEEDED",
                f"{opening}your {param} resulted in {length} tokens. Please reduce the length of the {param}.",
                param,
            )
        if max_tokens is not None and length + max_tokens > self.max_model_len:
            raise RequestError(
                "CONTEXT_LENGTH_EXCEEDED",
                f"{opening}you requested {length + max_tokens} tokens ({length} in the {param}, {max_tokens} in the completion). "
                f"Please reduce the length of the {param} or completion.",
                param,
            )
        if max_tokens is not None:
            return max_tokens
        left = self.max_model_len - length
        return left if otherwise is None else min(left, otherwise)


def first_tokens(tokens: list[int], bos: int | None) -> list[int]:
    """Tokens to generate from: those of a prompt, or the one that begins every text. Raises RequestError when there is neither."""
    if tokens:
        return tokens
    if bos is None:
        raise RequestError("INVALID_REQUEST", "the prompt is empty and this model has no token to begin with", "prompt")
    return [bos]


def text_of(prompt: Prompt) -> str:
    """The text of a prompt that has neither ids nor messages. Raises RequestError when it has none."""
    if prompt.text is None:
        raise RequestError("INVALID_REQUEST", "expected a text, token ids or messages but received none", "prompt")
    return prompt.text
