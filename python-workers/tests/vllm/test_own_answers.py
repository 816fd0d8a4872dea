"""Which arguments make answers vLLM's own, by vLLM's parser."""

from __future__ import annotations

from typing import Any

import pytest

from twinkle_worker.engines.vllm.options import parse_arguments
from twinkle_worker.engines.vllm.own_answers import CHATS, CHATS_AND_COMPLETIONS, wants_chats, wants_completions


def test_the_parsers_defaults_are_the_neutral_values() -> None:
    defaults = vars(parse_arguments("some/model", {}))
    known = {name: value for name, value in {**CHATS, **CHATS_AND_COMPLETIONS}.items() if name in defaults}
    assert {name: defaults[name] for name in known} == known
    assert {"response_role", "enable_force_include_usage", "enable_log_requests", "return_tokens_as_token_ids"} < {
        *known
    }


@pytest.mark.parametrize(
    ("options", "chats", "completions"),
    [
        ({}, False, False),
        ({"response_role": "poet"}, True, False),
        ({"enable_force_include_usage": True}, True, True),
        ({"enable_log_requests": True, "enable_log_outputs": True}, True, True),
        ({"enable_per_request_metrics": True}, True, True),
        ({"return_tokens_as_token_ids": True}, True, True),
        ({"return_tokens_as_token_ids": False, "response_role": "assistant"}, False, False),
    ],
)
def test_who_answers(options: dict[str, Any], chats: bool, completions: bool) -> None:
    arguments = parse_arguments("some/model", options)
    assert (wants_chats(arguments), wants_completions(arguments)) == (chats, completions)
