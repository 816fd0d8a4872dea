"""Conversations become sequences with the demo model's own tokenizer, and with templates that write history anew."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer

from twinkle_worker.engines.base import RequestError
from twinkle_worker.protocol import EncodeParams
from twinkle_worker.training.conversations import IGNORED, ConversationEncoder

DEMO = Path(__file__).parents[2] / "demo_model" / "model"

USER = {"role": "user", "content": "Who are you?"}
ANSWER = {"role": "assistant", "content": "I am small."}

THOUGHTFUL = (
    "{%- for m in messages %}{{ '<|im_start|>' + m['role'] + '\\n' }}"
    "{%- if m['role'] == 'assistant' and not loop.last %}{{ m['content'].split('</think>')[-1] }}"
    "{%- else %}{{ m['content'] }}{% endif %}{{ '<|im_end|>\\n' }}{% endfor %}"
    "{%- if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
"""Leaves out the thoughts of all answers but the last, as those of reasoning models do."""

FORGETFUL = "{% for m in messages[-2:] %}{{ m['role'] + ': ' + m['content'] + '\\n' }}{% endfor %}"
"""Leaves out what came long before."""


@pytest.fixture
def tokenizer() -> Any:
    return AutoTokenizer.from_pretrained(DEMO)


def encode(
    tokenizer: Any, *conversations: Sequence[dict[str, str]], **options: Any
) -> list[tuple[list[int], list[int]]]:
    params = EncodeParams(
        conversations=[{"messages": list(one)} for one in conversations],
        system=options.get("system"),
        template_kwargs={},
        max_length=options.get("max_length"),
        truncation=options.get("truncation", "raise"),
    )
    made = ConversationEncoder(tokenizer).encode(params)
    tokens, labels = [list(struct.unpack(f"{len(data) // 4}i", data)) for data in (made.tokens, made.labels)]
    result, at = [], 0
    for length in made.lengths:
        result.append((tokens[at : at + length], labels[at : at + length]))
        at += length
    assert at == len(tokens) == len(labels)
    return result


def counted(tokenizer: Any, labels: list[int]) -> str:
    return tokenizer.decode([one for one in labels if one != IGNORED])


def test_answers_count_and_nothing_else(tokenizer: Any) -> None:
    second = [USER, ANSWER, {"role": "user", "content": "Really?"}, {"role": "assistant", "content": "Yes."}]
    one, two = encode(tokenizer, [USER, ANSWER], second)
    assert (
        tokenizer.decode(one[0])
        == "<|im_start|>user\nWho are you?<|im_end|>\n<|im_start|>assistant\nI am small.<|im_end|>\n"
    )
    assert counted(tokenizer, one[1]) == "I am small.<|im_end|>\n"
    assert counted(tokenizer, two[1]) == "I am small.<|im_end|>\nYes.<|im_end|>\n"
    for tokens, labels in (one, two):
        # Each label is the token after its place.
        assert all(label in (IGNORED, after) for label, after in zip(labels, [*tokens[1:], IGNORED], strict=True))
        assert labels[-1] == IGNORED


def test_without_an_answer_nothing_counts(tokenizer: Any) -> None:
    [(tokens, labels)] = encode(tokenizer, [USER])
    assert tokens
    assert set(labels) == {IGNORED}


def test_a_system_message_comes_before_conversations_that_begin_with_a_user(tokenizer: Any) -> None:
    own = {"role": "system", "content": "Be brief."}
    first, second = encode(tokenizer, [USER, ANSWER], [own, USER, ANSWER], system="Be kind.")
    assert tokenizer.decode(first[0]).startswith("<|im_start|>system\nBe kind.<|im_end|>")
    assert tokenizer.decode(second[0]).startswith("<|im_start|>system\nBe brief.<|im_end|>")


def test_what_is_too_long_is_refused_or_cut(tokenizer: Any) -> None:
    [(tokens, labels)] = encode(tokenizer, [USER, ANSWER])
    most = len(tokens) - 3
    with pytest.raises(
        RequestError, match=rf"inputs\[1\]: it has {len(tokens)} tokens, over the template's max_length of {most}"
    ):
        encode(tokenizer, [USER], [USER, ANSWER], max_length=most)
    assert encode(tokenizer, [USER, ANSWER], max_length=most, truncation="left") == [(tokens[3:], labels[3:])]
    [(cut, kept)] = encode(tokenizer, [USER, ANSWER], max_length=most, truncation="right")
    # The token that the last place had as its target is gone.
    assert (cut, kept) == (tokens[:most], [*labels[: most - 1], IGNORED])


def test_a_conversation_that_would_take_minutes_to_write_is_refused(tokenizer: Any) -> None:
    text = "x " * (1 << 19)
    with pytest.raises(RequestError, match=r"inputs\[1\]: it has \d+ characters, over the 1048576 that"):
        encode(tokenizer, [USER], [{"role": "user", "content": text}, ANSWER])


def test_thoughts_that_a_template_leaves_out_of_history_do_not_hide_the_answer(tokenizer: Any) -> None:
    tokenizer.chat_template = THOUGHTFUL
    thought = {"role": "assistant", "content": "<think>Who?</think>I am small."}
    more = [
        USER,
        thought,
        {"role": "user", "content": "Really?"},
        {"role": "assistant", "content": "<think>Hm.</think>Yes."},
    ]
    [(tokens, labels)] = encode(tokenizer, more)
    assert "Who?" not in tokenizer.decode(tokens)
    assert counted(tokenizer, labels) == "I am small.<|im_end|>\n<think>Hm.</think>Yes.<|im_end|>\n"


def test_a_template_that_writes_history_anew_is_refused_with_the_message_that_it_hides(tokenizer: Any) -> None:
    tokenizer.chat_template = FORGETFUL
    with pytest.raises(
        RequestError, match=r"inputs\[0\]: the chat template writes what comes before messages\[1\] differently"
    ):
        encode(
            tokenizer, [USER, ANSWER, {"role": "user", "content": "Really?"}, {"role": "assistant", "content": "Yes."}]
        )


def test_what_the_template_refuses_is_said_in_its_words(tokenizer: Any) -> None:
    with pytest.raises(RequestError, match="Unknown role robot"):
        encode(tokenizer, [{"role": "robot", "content": "x"}])
