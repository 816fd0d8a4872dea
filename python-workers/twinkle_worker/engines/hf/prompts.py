"""From prompts to token ids and back, within the model's limits. Knows nothing of sampling."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...protocol import Prompt, PromptInfo, TokenLogprob
from ..base import RequestError
from .chat import ChatRenderer


class PromptCodec:
    """Tokenizer and chat template of one model.

    vocabulary: ids below this have an embedding
    max_model_len: tokens, prompt and answer together
    """

    def __init__(self, tokenizer: Any, chat: ChatRenderer, vocabulary: int, max_model_len: int) -> None:
        self._tokenizer = tokenizer
        self._chat = chat
        self._vocabulary = vocabulary
        self._max_model_len = max_model_len

    def encode(self, prompt: Prompt) -> list[int]:
        """Token ids to generate from: at least one. Raises RequestError."""
        tokens = self.tokenize(prompt)
        if not tokens and self._tokenizer.bos_token_id is not None:
            tokens = [self._tokenizer.bos_token_id]
        if not tokens:
            raise RequestError(
                "INVALID_REQUEST", "the prompt is empty and this model has no token to begin with", "prompt"
            )
        return tokens

    def tokenize(self, prompt: Prompt) -> list[int]:
        """Token ids of a prompt, none for an empty text. Raises RequestError."""
        if prompt.token_ids is not None:
            tokens = prompt.token_ids
            outside = next((token for token in tokens if not 0 <= token < self._vocabulary), None)
            if outside is not None:
                raise RequestError(
                    "INVALID_REQUEST",
                    f"expected token ids from 0 to {self._vocabulary - 1} but received {outside}",
                    "prompt",
                )
        else:
            text = self._chat.render(prompt) if prompt.messages is not None else prompt.text
            if text is None:
                raise RequestError(
                    "INVALID_REQUEST", "expected a text, token ids or messages but received none", "prompt"
                )
            tokens = self._tokenizer(text, add_special_tokens=prompt.add_special_tokens, verbose=False)["input_ids"]
        return list(tokens)

    def room(self, prompt: Prompt, tokens: Sequence[int], max_tokens: int | None) -> int:
        """How many tokens may be generated after ``tokens``. Raises RequestError when they, or ``max_tokens`` more, do not fit."""
        param = "prompt" if prompt.messages is None else "messages"
        limit, length = self._max_model_len, len(tokens)
        opening = f"This model's maximum context length is {limit} tokens. However, "
        if length + min(1, 1 if max_tokens is None else max_tokens) > limit:
            raise RequestError(
                "CONTEXT_LENGTH_EXCEEDED",
                f"{opening}your {param} resulted in {length} tokens. Please reduce the length of the {param}.",
                param,
            )
        if max_tokens is not None and length + max_tokens > limit:
            raise RequestError(
                "CONTEXT_LENGTH_EXCEEDED",
                f"{opening}you requested {length + max_tokens} tokens ({length} in the {param}, {max_tokens} in the completion). "
                f"Please reduce the length of the {param} or completion.",
                param,
            )
        return limit - length if max_tokens is None else max_tokens

    def decode(self, tokens: Sequence[int]) -> str:
        """Text of token ids, special tokens included. Raises RequestError for an id that is none of the model's."""
        for token in tokens:
            if not 0 <= token < self._vocabulary:
                raise RequestError(
                    "INVALID_REQUEST",
                    f"expected token ids from 0 to {self._vocabulary - 1} but received {token}",
                    "tokens",
                )
        return self._tokenizer.decode(list(tokens), skip_special_tokens=False, clean_up_tokenization_spaces=False)

    def info(self, prompt: Prompt, tokens: list[int], logprobs: list[TokenLogprob] | None) -> PromptInfo:
        """The prompt as the model saw it; the text is the client's own when there is one, without what was put around it."""
        return PromptInfo(token_ids=tokens, text=prompt.text or self.decode(tokens), logprobs=logprobs)
