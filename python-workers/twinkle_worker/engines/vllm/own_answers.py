"""Arguments under which answers that Node formats would lack something: such a server has vLLM's own code answer. Pure."""

from __future__ import annotations

import argparse
from typing import Any

CHATS: dict[str, Any] = {
    "response_role": "assistant",
}
"""Argument → the value under which chat completions need no code of vLLM's."""

CHATS_AND_COMPLETIONS: dict[str, Any] = {
    "enable_force_include_usage": False,
    "enable_log_requests": False,
    "enable_per_request_metrics": False,
    "enable_return_routed_experts": False,
    "per_request_spec_decode_metrics": "none",
    "return_tokens_as_token_ids": False,
}
"""The same for both; what shapes the log of requests (``enable_log_outputs``, ``max_log_len``) takes effect with them."""


def wants_chats(arguments: argparse.Namespace) -> bool:
    """Whether all chat completions are vLLM's to answer."""
    return _differs(arguments, CHATS) or wants_completions(arguments)


def wants_completions(arguments: argparse.Namespace) -> bool:
    """Whether all completions are."""
    return _differs(arguments, CHATS_AND_COMPLETIONS)


def _differs(arguments: argparse.Namespace, neutral: dict[str, Any]) -> bool:
    return any(getattr(arguments, name, value) != value for name, value in neutral.items())
