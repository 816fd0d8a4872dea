"""From prompts to token ids and back, within the model's limits. Knows nothing of sampling."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...protocol import Prompt, PromptInfo, TokenLogprob
from ..limits import PromptLimits, first_tokens, text_of
from .chat import ChatRenderer


class PromptCodec:
    """Tokenizer, chat template and limits of one model."""

    def __init__(self, tokenizer: Any, chat: ChatRenderer, limits: PromptLimits) -> None:
        self._tokenizer = tokenizer
        self._chat = chat
        self.limits = limits

    def encode(self, prompt: Prompt) -> list[int]:
        """Token ids to generate from: at least one. Raises RequestError."""
        return first_tokens(self.tokenize(prompt), self._tokenizer.bos_token_id)

    def tokenize(self, prompt: Prompt) -> list[int]:
        """Token ids of a prompt, none for an empty text. Raises RequestError."""
        if prompt.token_ids is not None:
            self.limits.check_ids(prompt.token_ids, "prompt")
            return list(prompt.token_ids)
        text = self._chat.render(prompt) if prompt.messages is not None else text_of(prompt)
        return list(self._tokenizer(text, add_special_tokens=prompt.add_special_tokens, verbose=False)["input_ids"])

    def decode(self, tokens: Sequence[int]) -> str:
        """Text of token ids, special tokens included. Raises RequestError for an id that is none of the model's."""
        self.limits.check_ids(tokens, "tokens")
        return self._tokenizer.decode(list(tokens), skip_special_tokens=False, clean_up_tokenization_spaces=False)

    def info(self, prompt: Prompt, tokens: list[int], logprobs: list[TokenLogprob] | None) -> PromptInfo:
        """The prompt as the model saw it; the text is the client's own when there is one, without what was put around it."""
        return PromptInfo(token_ids=tokens, text=prompt.text or self.decode(tokens), logprobs=logprobs)
