"""Makes requests and runs an engine to the end, for the tests of this folder."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from twinkle_worker.engines.base import Engine
from twinkle_worker.protocol import (
    GenerateEnd,
    GenerateParams,
    Prompt,
    PromptInfo,
    SamplingParams,
    TokenDelta,
    TokenLogprob,
)

VOCABULARY = 384


def sampling(**changes: Any) -> SamplingParams:
    """Greedy, eight tokens, no eos; with changes."""
    values: dict[str, Any] = {
        **{
            "max_tokens": 8,
            "min_tokens": 0,
            "temperature": 0.0,
            "top_p": 1.0,
            "top_k": 0,
            "min_p": 0.0,
            "seed": None,
            "stop": [],
        },
        **{"stop_token_ids": [], "include_stop_str_in_output": False, "ignore_eos": True, "skip_special_tokens": True},
        **{"presence_penalty": 0.0, "frequency_penalty": 0.0, "repetition_penalty": 1.0, "logit_bias": []},
        **{"logprobs": None, "prompt_logprobs": None},
    }
    return SamplingParams(**{**values, **changes})


def prompt(**changes: Any) -> Prompt:
    """A prompt of which nothing is set but the changes."""
    values: dict[str, Any] = {
        **{
            "text": None,
            "token_ids": None,
            "messages": None,
            "tools": None,
            "chat_template": None,
            "chat_template_kwargs": {},
        },
        **{"add_generation_prompt": True, "continue_final_message": False, "add_special_tokens": True},
    }
    return Prompt(**{**values, **changes})


def request(
    tokens: list[int], n: int = 1, echo: bool = False, adapter: str | None = None, **changes: Any
) -> GenerateParams:
    """A request for ``tokens`` with :func:`sampling` changed by ``changes``."""
    return GenerateParams(
        request_id="test",
        prompt=prompt(token_ids=tokens),
        sampling=sampling(**changes),
        n=n,
        echo=echo,
        adapter=adapter,
    )


@dataclass
class Answer:
    """All that a choice said."""

    tokens: list[int] = field(default_factory=list)
    text: str = ""
    finish: str | None = None
    stop_reason: str | int | None = None
    logprobs: list[TokenLogprob] = field(default_factory=list)
    prompt: PromptInfo | None = None


@dataclass
class Outcome:
    """All that a stream said: choices by index, then how it ended."""

    choices: dict[int, Answer] = field(default_factory=dict)
    end: GenerateEnd | None = None
    error: Exception | None = None

    @property
    def only(self) -> Answer:
        """The answer of a stream with one choice."""
        assert list(self.choices) == [0]
        return self.choices[0]


def take(outcomes: dict[int, Outcome], items: Iterable[tuple[int, Any]]) -> None:
    """Add the items of a step to ``outcomes``; fails on an item after the end."""
    for stream, item in items:
        outcome = outcomes.setdefault(stream, Outcome())
        assert (outcome.end, outcome.error) == (None, None), "an item after the end"
        if isinstance(item, GenerateEnd):
            outcome.end = item
        elif isinstance(item, Exception):
            outcome.error = item
        else:
            assert isinstance(item, TokenDelta)
            answer = outcome.choices.setdefault(item.choice, Answer())
            assert answer.finish is None, "an item after the finish"
            answer.tokens += item.token_ids
            answer.text += item.text
            answer.finish, answer.stop_reason = item.finish, item.stop_reason
            answer.logprobs += item.logprobs or []
            answer.prompt = item.prompt or answer.prompt


def finish(engine: Engine, outcomes: dict[int, Outcome] | None = None, most_steps: int = 2000) -> dict[int, Outcome]:
    """Step until there is no more work."""
    outcomes = {} if outcomes is None else outcomes
    for _ in range(most_steps):
        if not engine.has_work():
            return outcomes
        take(outcomes, engine.step())
    raise AssertionError(f"still working after {most_steps} steps")


def generate(engine: Engine, *requests: GenerateParams) -> list[Outcome]:
    """Run requests together, streams 0, 1, …"""
    for stream, params in enumerate(requests):
        engine.add(stream, params)
    outcomes = finish(engine)
    return [outcomes[stream] for stream in range(len(requests))]


def some_tokens(length: int, salt: int) -> list[int]:
    """A prompt of ordinary tokens."""
    return [4 + (at * 53 + salt * 97 + at * at * salt) % (VOCABULARY - 4) for at in range(length)]
