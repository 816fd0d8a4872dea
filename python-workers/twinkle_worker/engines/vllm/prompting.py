"""Prompts of the hot path by vLLM's own renderer, within the model's context. Knows nothing of sampling."""

from __future__ import annotations

from typing import Any

from vllm.renderers.params import ChatParams

from ...protocol import Prompt, PromptInfo
from ..base import RequestError
from ..limits import PromptLimits, first_tokens, text_of


class PromptRenderer:
    """Tokenizer, chat template and limits of one model."""

    def __init__(
        self,
        renderer: Any,
        model_config: Any,
        chat_template: str | None,
        template_kwargs: Any,
        *,
        content_format: Any = "auto",
        trust_templates: bool = False,
    ) -> None:
        """content_format: how the template wants contents, vLLM's ``--chat-template-content-format``.

        trust_templates: requests may bring templates of their own, which are programs without a limit on their time.
        """
        self._content_format = content_format
        self._trust_templates = trust_templates
        self.limits = PromptLimits(model_config.get_vocab_size(), model_config.max_model_len)
        self._renderer = renderer
        self._template = chat_template
        self._template_kwargs: dict[str, Any] = dict(template_kwargs or {})

    def first_tokens(self, prompt: Prompt) -> list[int]:
        """Token ids, at least one. Raises RequestError."""
        return first_tokens(self.tokenize(prompt), self._renderer.get_bos_token_id())

    def engine_input(self, tokens: list[int]) -> Any:
        """What vLLM takes for tokens that have room: its own words for too many are those of a failure."""
        (engine_input,) = self._renderer.render_cmpl([{"prompt_token_ids": tokens}])
        return engine_input

    def tokenize(self, prompt: Prompt) -> list[int]:
        """Token ids of a prompt, none for an empty text. Raises RequestError."""
        if prompt.token_ids is not None:
            self.limits.check_ids(prompt.token_ids, "prompt")
            return list(prompt.token_ids)
        if prompt.messages is not None:
            return self._chat(prompt)
        tokenizer = self._renderer.get_tokenizer()
        return list(tokenizer.encode(text_of(prompt), add_special_tokens=prompt.add_special_tokens))

    def decode(self, tokens: list[int]) -> str:
        """Text of token ids, special tokens included. Raises RequestError for an id that is none of the model's."""
        self.limits.check_ids(tokens, "tokens")
        return self._renderer.get_tokenizer().decode(tokens, skip_special_tokens=False)

    def info(self, prompt: Prompt, tokens: list[int]) -> PromptInfo:
        """The prompt as the model saw it; the text is the client's own when there is one."""
        return PromptInfo(token_ids=tokens, text=prompt.text or self.decode(tokens), logprobs=None)

    def _chat(self, prompt: Prompt) -> list[int]:
        if not prompt.messages:
            raise RequestError("INVALID_REQUEST", "expected at least one message for `messages`", "messages")
        if prompt.add_generation_prompt and prompt.continue_final_message:
            raise RequestError(
                "INVALID_REQUEST",
                "`add_generation_prompt` and `continue_final_message` exclude each other; set one of them to false",
                "continue_final_message",
            )
        own = prompt.chat_template is not None or prompt.chat_template_kwargs.get("chat_template") is not None
        if own and not self._trust_templates:
            raise RequestError(
                "INVALID_REQUEST",
                "this server takes no chat template from a request; start it with --trust-request-chat-template",
                "chat_template",
            )
        params = ChatParams(
            chat_template=prompt.chat_template or self._template,
            chat_template_content_format=self._content_format,
            chat_template_kwargs={
                **self._template_kwargs,
                **prompt.chat_template_kwargs,
                "add_generation_prompt": prompt.add_generation_prompt,
                "continue_final_message": prompt.continue_final_message,
                **({"tools": prompt.tools} if prompt.tools else {}),
            },
        )
        try:
            _, rendered = self._renderer.render_messages(prompt.messages, params)
        except Exception as error:  # a template is a program: whatever it raises is about these messages
            raise RequestError("CHAT_TEMPLATE", f"the messages cannot be rendered: {error}", "messages") from error
        if "prompt_token_ids" in rendered:
            return list(rendered["prompt_token_ids"])
        tokenizer = self._renderer.get_tokenizer()
        return list(tokenizer.encode(rendered["prompt"], add_special_tokens=False))
