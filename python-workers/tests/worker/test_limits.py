"""How many tokens may follow a prompt."""

from __future__ import annotations

import pytest

from twinkle_worker.engines.base import RequestError
from twinkle_worker.engines.limits import PromptLimits
from twinkle_worker.protocol import Prompt

PROMPT = Prompt(None, [1], None, None, None, {}, False, False, False)
LIMITS = PromptLimits(vocabulary=10, max_model_len=100)


@pytest.mark.parametrize(
    ("length", "asked", "otherwise", "room"),
    [
        (60, None, None, 40),
        (60, 40, None, 40),
        (60, 3, None, 3),
        (60, None, 30, 30),
        (60, None, 50, 40),
        (60, 40, 5, 40),
    ],
)
def test_room(length: int, asked: int | None, otherwise: int | None, room: int) -> None:
    assert LIMITS.room(PROMPT, length, asked, otherwise) == room


@pytest.mark.parametrize(
    ("length", "asked", "otherwise"), [(60, 41, None), (60, 41, 5), (100, None, 5), (101, 0, None)]
)
def test_what_does_not_fit_is_refused(length: int, asked: int | None, otherwise: int | None) -> None:
    with pytest.raises(RequestError, match="maximum context length is 100 tokens"):
        LIMITS.room(PROMPT, length, asked, otherwise)
