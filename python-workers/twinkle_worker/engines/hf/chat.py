"""Renders chat messages to text with the model's own template. Knows nothing of token limits."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ...protocol import Prompt
from ..base import RequestError

_PROBES = ("twinkle-part-one", "twinkle-part-two")


class ChatRenderer:
    """Templates of one tokenizer; ``template`` replaces the tokenizer's own."""

    def __init__(self, tokenizer: Any, template: str | None) -> None:
        self._tokenizer = tokenizer
        self._template = template
        self._takes_parts: dict[str | None, bool] = {}

    @property
    def available(self) -> bool:
        """Whether there is a template without one in the request."""
        return self._template is not None or bool(self._tokenizer.chat_template)

    def render(self, prompt: Prompt) -> str:
        """Text of ``prompt.messages``. Raises RequestError."""
        template = prompt.chat_template if prompt.chat_template is not None else self._template
        if template is None and not self.available:
            raise _refused(
                "this model has no chat template; send `chat_template`, start the server with one, or use /v1/completions"
            )
        messages = [self._message(message, at) for at, message in enumerate(prompt.messages or ())]
        if not messages:
            raise RequestError("INVALID_REQUEST", "expected at least one message for `messages`", "messages")
        if any(isinstance(message["content"], list) for message in messages) and not self._parts_welcome(template):
            messages = [_flattened(message) for message in messages]
        reserved = {"tokenize", "return_dict", "return_tensors", "conversation", "tools", "chat_template"}
        for name in prompt.chat_template_kwargs:
            if name in reserved or name in ("add_generation_prompt", "continue_final_message"):
                raise RequestError(
                    "INVALID_REQUEST",
                    f"`{name}` is no variable for `chat_template_kwargs`; it is a request field or the server's own",
                    "chat_template_kwargs",
                )
        if prompt.add_generation_prompt and prompt.continue_final_message:
            raise RequestError(
                "INVALID_REQUEST",
                "`add_generation_prompt` and `continue_final_message` exclude each other; set one of them to false",
                "continue_final_message",
            )
        try:
            return self._apply(
                messages,
                template,
                tools=prompt.tools or None,
                add_generation_prompt=prompt.add_generation_prompt,
                continue_final_message=prompt.continue_final_message,
                **prompt.chat_template_kwargs,
            )
        except Exception as error:  # a template is a program: whatever it raises is about these messages
            raise _refused(f"the chat template refused the messages: {error}") from error

    def _apply(self, messages: list[dict[str, Any]], template: str | None, **options: Any) -> str:
        return self._tokenizer.apply_chat_template(messages, chat_template=template, tokenize=False, **options)

    def _message(self, message: Any, at: int) -> dict[str, Any]:
        if not isinstance(message, Mapping) or not isinstance(message.get("role"), str):
            raise RequestError("INVALID_REQUEST", f"expected an object with `role` for messages[{at}]", "messages")
        checked: dict[str, Any] = {**message, "content": message.get("content")}
        if isinstance(checked["content"], list):
            checked["content"] = [_text_part(part, at) for part in checked["content"]]
        elif checked["content"] is not None and not isinstance(checked["content"], str):
            raise RequestError("INVALID_REQUEST", f"expected a text or parts for messages[{at}].content", "messages")
        if isinstance(message.get("tool_calls"), list):
            checked["tool_calls"] = [_parsed_call(call) for call in message["tool_calls"]]
        return checked

    def _parts_welcome(self, template: str | None) -> bool:
        """Whether a template goes through content parts itself, tried out once with two of them."""
        known = self._takes_parts.get(template)
        if known is None:
            probe = [{"role": "user", "content": [{"type": "text", "text": text} for text in _PROBES]}]
            try:
                text = self._apply(probe, template)
            except Exception:  # it insists on a text, or on other messages: text it is
                text = ""
            known = all(part in text for part in _PROBES) and "'type'" not in text and '"type"' not in text
            if len(self._takes_parts) < 64:
                self._takes_parts[template] = known
        return known


def _refused(message: str) -> RequestError:
    return RequestError("CHAT_TEMPLATE", message, "messages")


def _text_part(part: Any, at: int) -> dict[str, str]:
    if isinstance(part, str):
        return {"type": "text", "text": part}
    kind = part.get("type") if isinstance(part, Mapping) else None
    if kind in ("text", "refusal", "input_text") and isinstance(part.get("text", part.get("refusal")), str):
        return {"type": "text", "text": part.get("text", part.get("refusal"))}
    if isinstance(kind, str) and kind != "text":
        raise RequestError(
            "UNSUPPORTED_PARAMETER",
            f"messages[{at}] has a part of type {kind!r}; this engine takes text parts only",
            "messages",
        )
    raise RequestError(
        "INVALID_REQUEST", f"expected parts with `type` and `text` in messages[{at}].content", "messages"
    )


def _flattened(message: dict[str, Any]) -> dict[str, Any]:
    content = message["content"]
    return {**message, "content": "\n".join(part["text"] for part in content)} if isinstance(content, list) else message


def _parsed_call(call: Any) -> Any:
    """OpenAI sends the arguments of a call as JSON text; templates print them as JSON themselves and so want the object."""
    function = call.get("function") if isinstance(call, Mapping) else None
    if not isinstance(function, Mapping) or not isinstance(function.get("arguments"), str):
        return call
    try:
        arguments = json.loads(function["arguments"] or "{}")
    except ValueError:
        return call
    return {**call, "function": {**function, "arguments": arguments}}
