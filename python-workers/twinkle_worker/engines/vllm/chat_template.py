"""The template of ``--chat-template``: found as vLLM finds it, and tried out before the weights are loaded. Knows no requests."""

from __future__ import annotations

from argparse import Namespace
from typing import Any

from jinja2 import TemplateSyntaxError

from ..base import LoadError
from .compat import client_errors, load_chat_template

_HINT = "mend it, or leave --chat-template out to use the model's own"
_HELLO = "Hello"


def read_template(arguments: Namespace) -> str | None:
    """The template's text; None: the model's own. Raises LoadError for a file that cannot be read."""
    try:
        return load_chat_template(arguments.chat_template)
    except (OSError, *client_errors()) as error:
        raise LoadError(
            f"expected a template or its file for --chat-template but received {arguments.chat_template}: {error}"
        ) from error


def check_template(template: str, arguments: Namespace, model_config: Any) -> None:
    """Render a first message, with and without a system message before it. Raises LoadError when neither can be.

    Only for models that chat: those that score have templates of another kind. Tokenizers with a format of their own use none.
    """
    from vllm.tokenizers.registry import cached_tokenizer_from_config, tokenizer_args_from_config

    if model_config.runner_type != "generate" or model_config.skip_tokenizer_init:
        return
    kind, *_ = tokenizer_args_from_config(model_config)
    if kind != "hf":
        return
    tokenizer = cached_tokenizer_from_config(model_config)
    first = _trouble(template, arguments, model_config, tokenizer, ["user"])
    if first is None or _trouble(template, arguments, model_config, tokenizer, ["system", "user"]) is None:
        return
    where = "" if arguments.chat_template == template else f" {arguments.chat_template}"
    raise LoadError(f"the chat template{where} cannot be used: {_words(first)}; {_HINT}") from first


def _trouble(
    template: str, arguments: Namespace, model_config: Any, tokenizer: Any, roles: list[str]
) -> Exception | None:
    from vllm.renderers.hf import resolve_chat_template_content_format, safe_apply_chat_template

    try:
        form = resolve_chat_template_content_format(
            template, None, arguments.chat_template_content_format, tokenizer, model_config=model_config
        )
        content = _HELLO if form == "string" else [{"type": "text", "text": _HELLO}]
        messages: list[Any] = [{"role": role, "content": content} for role in roles]
        variables = {"add_generation_prompt": True, **(arguments.default_chat_template_kwargs or {})}
        safe_apply_chat_template(model_config, tokenizer, messages, chat_template=template, tokenize=False, **variables)
    except Exception as error:  # a template is a program
        return error
    return None


def _words(error: BaseException) -> str:
    """What the template's engine said, with the line where the text itself is at fault."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, TemplateSyntaxError):
            return f"line {cause.lineno}: {cause.message}"
        cause = cause.__cause__
    return str(error) or type(error).__name__
