"""The mock engine in a test's own process: requests, and their texts."""

from __future__ import annotations

import msgspec

from twinkle_worker.engines.mock import MockEngine
from twinkle_worker.protocol import (
    GenerateEnd,
    GenerateParams,
    LaunchSpec,
    LoadParams,
    Prompt,
    SamplingParams,
    TokenDelta,
)

LAUNCH = LaunchSpec("i", "g", 1, 0, 0, 1, "whole", "ipc://x", None, "id", "mock", {}, -1, -1, -1, [], "127.0.0.1", 0)
SAMPLING = SamplingParams(
    max_tokens=8,
    min_tokens=0,
    temperature=1.0,
    top_p=1.0,
    top_k=0,
    min_p=0.0,
    seed=None,
    stop=[],
    stop_token_ids=[],
    include_stop_str_in_output=False,
    ignore_eos=False,
    skip_special_tokens=True,
    presence_penalty=0.0,
    frequency_penalty=0.0,
    repetition_penalty=1.0,
    logit_bias=[],
    logprobs=None,
    prompt_logprobs=None,
)


def prompt(text: str) -> Prompt:
    return Prompt(text, None, None, None, None, {}, True, False, True)


def request(text: str, n: int = 1, **sampling: object) -> GenerateParams:
    return GenerateParams("r", prompt(text), msgspec.structs.replace(SAMPLING, **sampling), n, False)


def engine(**options: object) -> MockEngine:
    """A loaded one."""
    made = MockEngine(LAUNCH)
    made.load(LoadParams("m", dict(options)), lambda *_: None)
    return made


def run(made: MockEngine, *requests: GenerateParams) -> list[list[str]]:
    """The texts of all choices, by request."""
    texts = [[""] * each.n for each in requests]
    for stream, each in enumerate(requests):
        made.add(stream, each)
    while made.has_work():
        for stream, item in made.step():
            if isinstance(item, TokenDelta):
                texts[stream][item.choice] += item.text
            else:
                assert isinstance(item, GenerateEnd)
    return texts
