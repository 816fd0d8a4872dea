"""The hot path on a real vLLM: tokens equal plain `vllm.LLM`'s, logprobs, stops, limits, aborts."""

from __future__ import annotations

import random
from typing import Any

import msgspec
import pytest
from vllm_support import MODEL, generate, plain_tokens, prompt, request, sampling

from twinkle_worker.engines.base import RequestError
from twinkle_worker.protocol import GenerateEnd, GenerateParams, TokenDelta, TokenizeParams

WORDS = [
    "the",
    "a",
    "river",
    "name",
    "who",
    "are",
    "you",
    "what",
    "is",
    "seven",
    "plus",
    "five",
    "hello",
    "once",
    "upon",
    "time",
    "blue",
    "green",
    "tell",
    "me",
    "story",
    "rank",
]


def texts(count: int) -> list[str]:
    pick = random.Random(5)
    return [" ".join(pick.choices(WORDS, k=pick.randint(1, 24))) for _ in range(count)]


def of_text(text: str, stream: int, **changes: Any) -> GenerateParams:
    return GenerateParams(f"r{stream}", prompt(text=text), sampling(max_tokens=12, **changes), 1, False)


def test_200_prompts_give_the_tokens_of_plain_vllm(engine: Any) -> None:
    """Half of them greedy, half seeded, all in one crowd."""
    prompts = texts(200)
    changes = [{} if at % 2 == 0 else {"temperature": 0.8, "seed": at, "top_p": 0.9} for at in range(len(prompts))]
    outcomes = generate(engine, *(of_text(text, at, **changes[at]) for at, text in enumerate(prompts)))
    ours = [outcome.choices[0].tokens for outcome in outcomes]
    wanted = [{"temperature": 0.0, "max_tokens": 12, "ignore_eos": True, **change} for change in changes]
    assert ours == plain_tokens(MODEL, prompts, wanted)


def test_chat_is_rendered_by_the_models_template(engine: Any) -> None:
    hello = prompt(messages=[{"role": "user", "content": "Hello"}])
    [outcome] = generate(engine, GenerateParams("c", hello, sampling(max_tokens=4), 1, True))
    info = outcome.choices[0].prompt
    assert info is not None
    assert info.text == "<|im_start|>user\nHello<|im_end|>\n<|im_start|>assistant\n"
    assert engine.tokenize(TokenizeParams(prompt=hello, with_tokens=True)).token_ids == info.token_ids


def test_logprobs_of_prompt_and_answer(engine: Any) -> None:
    [outcome] = generate(engine, of_text("once upon a time", 1, logprobs=2, prompt_logprobs=1))
    answer = outcome.choices[0]
    assert [item.token_id for item in answer.logprobs] == answer.tokens
    for item in answer.logprobs:
        assert len(item.top) == 2
        assert item.top[0][0] == item.token_id  # greedy takes the best
        assert item.logprob == pytest.approx(item.top[0][3])
        assert item.top[0][3] >= item.top[1][3]
        assert bytes(item.bytes).decode() == item.token
    assert answer.prompt is not None
    assert answer.prompt.logprobs is not None
    first, *others = answer.prompt.logprobs
    assert first.logprob is None
    assert all(item.logprob is not None and item.logprob <= 0 for item in others)


def test_stop_strings_and_lengths(engine: Any) -> None:
    [free] = generate(engine, of_text("hello", 1))
    text = free.choices[0].text
    assert free.choices[0].finish == "length"
    stop = text[3:5]
    [stopped] = generate(engine, of_text("hello", 2, stop=[stop]))
    assert stopped.choices[0].finish == "stop"
    assert stopped.choices[0].stop_reason == stop
    assert stopped.choices[0].text == text[: text.index(stop)]


def test_several_choices(engine: Any) -> None:
    many = msgspec.structs.replace(of_text("tell me a story", 1, temperature=1.0, seed=3), n=3)
    [outcome] = generate(engine, many)
    assert sorted(outcome.choices) == [0, 1, 2]
    assert isinstance(outcome.end, GenerateEnd)
    assert outcome.end.completion_tokens == sum(len(choice.tokens) for choice in outcome.choices.values())


def test_what_is_at_fault_is_refused_and_the_engine_goes_on(engine: Any) -> None:
    bad: list[tuple[str, dict[str, Any]]] = [
        ("CONTEXT_LENGTH_EXCEEDED", {"max_tokens": 600}),
        ("INVALID_REQUEST", {"temperature": -1.0}),
        ("INVALID_REQUEST", {"top_p": 2.0}),
        ("INVALID_REQUEST", {"logprobs": 100_000}),
        ("INVALID_REQUEST", {"logit_bias": [(10**9, 1.0)]}),
    ]
    for code, changes in bad:
        with pytest.raises(RequestError) as refused:
            engine.add(9, request([1, 2, 3], **changes))
        assert refused.value.code == code, changes
    with pytest.raises(RequestError, match="token ids from 0"):
        engine.add(9, request([10**6]))
    with pytest.raises(RequestError, match="512 tokens") as too_long:
        engine.add(9, request([1] * 600, max_tokens=None))
    assert (too_long.value.code, too_long.value.param) == ("CONTEXT_LENGTH_EXCEEDED", "prompt")
    own = msgspec.structs.replace(prompt(messages=[{"role": "user", "content": "hi"}]), chat_template="{{ 1 }}")
    with pytest.raises(RequestError, match="--trust-request-chat-template"):
        engine.add(9, GenerateParams("r9", own, sampling(), 1, False))
    assert not engine.has_work()
    [outcome] = generate(engine, of_text("hello", 1))
    assert len(outcome.choices[0].tokens) == 12


def test_an_abort_frees_its_place_at_once(engine: Any) -> None:
    engine.add(1, request([1, 2, 3], max_tokens=400))
    items = [item for _, item in engine.step()]
    while not any(isinstance(item, TokenDelta) for item in items):
        items = [item for _, item in engine.step()]
    engine.abort(1)
    while engine.has_work():
        assert list(engine.step()) == []
    assert engine.stats().running == 0
    assert engine.stats().kv_usage == 0.0
