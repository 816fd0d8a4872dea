"""Whole answers: against transformers' own generate, alone against in a batch, chunked against at once, and what ends them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from hf_support import finish, generate, request, some_tokens, take

from twinkle_worker.engines.base import Engine, RequestError

Load = Callable[..., Engine]
Reference = Callable[[str], Any]


def by_itself(model: Any, tokens: list[int], count: int, **options: Any) -> list[int]:
    """Greedy tokens by transformers' generate."""
    ids = torch.tensor([tokens])
    made = model.generate(
        ids, attention_mask=torch.ones_like(ids), max_new_tokens=count, do_sample=False, eos_token_id=None, **options
    )
    return made[0, len(tokens) :].tolist()


@pytest.mark.parametrize("kind", ["qwen3", "llama", "gpt_neox", "opt"])
def test_greedy_equals_generate(load: Load, reference: Reference, kind: str) -> None:
    prompts = [some_tokens(length, salt) for salt, length in enumerate((5, 70, 1, 33, 140))]
    engine = load(kind)
    outcomes = generate(engine, *(request(tokens, max_tokens=40) for tokens in prompts))
    for tokens, outcome in zip(prompts, outcomes, strict=True):
        assert outcome.only.tokens == by_itself(reference(kind), tokens, 40)
        assert outcome.only.finish == "length"
        assert outcome.end is not None
        assert outcome.end.completion_tokens == 40
        assert outcome.end.prompt_tokens == len(tokens)
    assert len({tuple(outcome.only.tokens) for outcome in outcomes}) == len(prompts), "the model says the same to all"


def test_eager_attention_answers_the_same(load: Load, reference: Reference) -> None:
    engine = load("qwen3", attn_implementation="eager")
    prompts = [some_tokens(9, 1), some_tokens(30, 2)]
    for tokens, outcome in zip(prompts, generate(engine, *(request(p) for p in prompts)), strict=True):
        assert outcome.only.tokens == by_itself(reference("qwen3"), tokens, 8)


def test_repetition_penalty_equals_generate(load: Load, reference: Reference) -> None:
    prompts = [some_tokens(6, 3), some_tokens(25, 4)]
    outcomes = generate(load(), *(request(tokens, max_tokens=30, repetition_penalty=1.7) for tokens in prompts))
    for tokens, outcome in zip(prompts, outcomes, strict=True):
        expected = by_itself(reference("qwen3"), tokens, 30, repetition_penalty=1.7)
        assert outcome.only.tokens == expected
        assert expected != by_itself(reference("qwen3"), tokens, 30), "the penalty changes nothing here"


def test_requests_that_come_and_go_do_not_change_each_other(load: Load) -> None:
    """32 requests of all kinds through 5 rows, joining at different steps, against each of them alone."""
    engine = load(max_num_seqs=5, max_num_batched_tokens=48)
    kinds: list[dict[str, Any]] = [
        {},
        {"temperature": 0.9, "seed": 5},
        {"temperature": 1.3, "seed": 6, "top_p": 0.8},
        {"temperature": 0.8, "seed": 7, "top_k": 9, "min_p": 0.02},
        {"temperature": 1.0, "seed": 8, "presence_penalty": 1.0, "frequency_penalty": 0.5},
        {"repetition_penalty": 1.4, "logprobs": 2},
    ]
    requests = [
        request(some_tokens(3 + salt * 5, salt), max_tokens=4 + salt % 11, **kinds[salt % len(kinds)])
        for salt in range(32)
    ]
    alone = [generate(engine, params)[0].only.tokens for params in requests]
    outcomes: dict[int, Any] = {}
    for stream, params in enumerate(requests):
        engine.add(stream, params)
        take(outcomes, engine.step())
        assert engine.stats().running <= 5
    finish(engine, outcomes)
    assert [outcomes[stream].only.tokens for stream in range(32)] == alone


def test_long_prompts_in_chunks(load: Load) -> None:
    prompts = [some_tokens(300, 1), some_tokens(11, 2), some_tokens(211, 3)]
    whole = [o.only.tokens for o in generate(load(), *(request(p, max_tokens=12) for p in prompts))]
    chunked = load(max_num_batched_tokens=37)
    assert [o.only.tokens for o in generate(chunked, *(request(p, max_tokens=12) for p in prompts))] == whole


def test_a_long_prompt_does_not_stall_running_streams(load: Load) -> None:
    engine = load(max_num_batched_tokens=32)
    engine.add(1, request(some_tokens(4, 1), max_tokens=60))
    list(engine.step())
    engine.add(2, request(some_tokens(300, 2), max_tokens=1))
    for _ in range(9):
        assert [stream for stream, _ in engine.step()] == [1]
    assert {stream for stream, _ in engine.step()} == {1, 2}


def test_abort_frees_its_rows_at_once(load: Load) -> None:
    engine = load(max_num_seqs=2)
    for stream in (1, 2, 3):
        engine.add(stream, request(some_tokens(10, stream), max_tokens=50))
    list(engine.step())
    assert (engine.stats().running, engine.stats().waiting) == (2, 1)
    engine.abort(1)
    assert engine.stats().running == 1
    assert {stream for stream, _ in engine.step()} == {2, 3}
    engine.abort(99)
    engine.abort(2)
    engine.abort(3)
    assert not engine.has_work()
    assert engine.stats().kv_usage == 0


def test_abort_of_a_waiting_and_of_a_half_computed_prompt(load: Load) -> None:
    engine = load(max_num_seqs=1, max_num_batched_tokens=16)
    expected = generate(engine, request(some_tokens(30, 9)))[0].only.tokens
    engine.add(1, request(some_tokens(200, 1)))
    engine.add(2, request(some_tokens(5, 2)))
    list(engine.step())
    engine.abort(2)
    engine.abort(1)
    assert not engine.has_work()
    assert generate(engine, request(some_tokens(30, 9)))[0].only.tokens == expected


def test_choices_share_a_prompt_and_differ(load: Load) -> None:
    engine = load()
    [outcome] = generate(engine, request(some_tokens(20, 1), n=4, temperature=1.0, seed=3))
    assert sorted(outcome.choices) == [0, 1, 2, 3]
    assert len({tuple(answer.tokens) for answer in outcome.choices.values()}) == 4
    assert engine.stats().prompt_tokens == 20, "the prompt is computed once"
    assert outcome.end is not None
    assert outcome.end.completion_tokens == 32
    [again] = generate(engine, request(some_tokens(20, 1), temperature=1.0, seed=3))
    assert again.only.tokens == outcome.choices[0].tokens


def test_each_choice_has_logits_of_its_own(load: Load) -> None:
    """What adjusts one choice in place must not reach the others, right from the first token."""
    changes: dict[str, Any] = {"logit_bias": [(9, 1.5)], "presence_penalty": 1.0, "repetition_penalty": 1.2}
    engine = load()
    [together] = generate(engine, request(some_tokens(8, 1), n=3, temperature=0.9, seed=4, **changes))
    [alone] = generate(engine, request(some_tokens(8, 1), temperature=0.9, seed=4, **changes))
    [greedy] = generate(engine, request(some_tokens(8, 1), n=3, **changes))
    assert together.choices[0].tokens == alone.only.tokens
    assert greedy.choices[0].tokens == greedy.choices[1].tokens == greedy.choices[2].tokens


def test_more_choices_than_rows_are_made_in_turns(load: Load) -> None:
    asked = request(some_tokens(20, 1), n=5, temperature=1.0, seed=3)
    [outcome] = generate(load(max_num_seqs=2), asked)
    [expected] = generate(load(), asked)
    assert outcome == expected


def test_choices_end_one_by_one(load: Load) -> None:
    engine = load()
    [free] = generate(engine, request(some_tokens(8, 1), n=3, temperature=1.5, seed=11, max_tokens=20))
    stop = free.choices[1].tokens[2]
    [outcome] = generate(
        engine, request(some_tokens(8, 1), n=3, temperature=1.5, seed=11, max_tokens=20, stop_token_ids=[stop])
    )
    for index, answer in outcome.choices.items():
        whole = free.choices[index].tokens
        ends = whole.index(stop) + 1 if stop in whole else 20
        assert answer.tokens == whole[:ends]
        assert answer.stop_reason == (stop if stop in whole else None)


def test_more_choices_than_fit_the_cache_are_made_in_turns(load: Load) -> None:
    engine = load(max_model_len=64, max_num_seqs=6, kv_cache_memory_bytes=2 * 2 * 2 * 16 * 4 * 128 * 3)
    [outcome] = generate(engine, request(some_tokens(20, 1), n=6, temperature=1.0, seed=3, max_tokens=30))
    [expected] = generate(load(), request(some_tokens(20, 1), n=6, temperature=1.0, seed=3, max_tokens=30))
    assert outcome.choices == expected.choices


def test_memory_of_many_short_prompts_does_not_add_to_that_of_a_long_one(load: Load) -> None:
    """Rows of the many times length of the one would be 16 times what the budget knows of."""
    engine = load(max_num_seqs=16)
    queue = engine.loaded._parts.queue  # type: ignore[attr-defined]
    cells = []
    for stream in range(8):
        engine.add(stream, request(some_tokens(60, stream), max_tokens=1))
    engine.add(8, request(some_tokens(500, 8), max_tokens=1))
    while engine.has_work():
        list(engine.step())
        cells.append(queue._store.rows * queue._store.length)
    assert 0 < max(cells) <= 576


def test_a_choice_that_gave_way_goes_on_where_it_was(load: Load) -> None:
    """A cache of two blocks for five growing answers: they must give way to each other, and say the same as with room."""
    requests = [request(some_tokens(40, salt), max_tokens=100, temperature=0.7, seed=salt) for salt in range(5)]
    expected = [outcome.only for outcome in generate(load(), *requests)]
    token_bytes = 2 * 2 * 2 * 16 * 4
    engine = load(max_model_len=191, max_num_seqs=5, kv_cache_memory_bytes=token_bytes * (192 + 256))
    for stream, params in enumerate(requests):
        engine.add(stream, params)
    outcomes: dict[int, Any] = {}
    running = []
    while engine.has_work():
        take(outcomes, engine.step())
        running.append(engine.stats().running)
    assert max(running) == 4
    assert running[-2] < 4
    assert [outcomes[stream].only for stream in range(5)] == expected


def test_eos_ends_unless_ignored(load: Load) -> None:
    engine = load()
    bias: list[tuple[int, float]] = [(2, 100.0)]
    [stopped] = generate(engine, request(some_tokens(5, 1), ignore_eos=False, logit_bias=bias))
    assert (stopped.only.tokens, stopped.only.finish, stopped.only.stop_reason) == ([2], "stop", None)
    assert stopped.only.text == ""
    [ignored] = generate(engine, request(some_tokens(5, 1), ignore_eos=True, logit_bias=bias))
    assert (ignored.only.tokens, ignored.only.finish) == ([2] * 8, "length")


def test_min_tokens_holds_back_every_stop(load: Load) -> None:
    engine = load()
    [free] = generate(engine, request(some_tokens(5, 1), max_tokens=12))
    [outcome] = generate(
        engine,
        request(some_tokens(5, 1), max_tokens=12, min_tokens=4, ignore_eos=False, logit_bias=[(2, 100.0), (9, 50.0)]),
    )
    assert outcome.only.tokens == [9, 9, 9, 9, 2]
    [by_id] = generate(
        engine, request(some_tokens(5, 1), max_tokens=12, min_tokens=3, stop_token_ids=[9], logit_bias=[(9, 100.0)])
    )
    assert by_id.only.tokens[3:] == [9]
    assert 9 not in by_id.only.tokens[:3]
    assert by_id.only.stop_reason == 9
    assert free.only.finish == "length"


def test_max_tokens_0_scores_only(load: Load) -> None:
    tokens = some_tokens(12, 1)
    engine = load()
    [outcome] = generate(engine, request(tokens, max_tokens=0, echo=True, prompt_logprobs=0))
    assert (outcome.only.tokens, outcome.only.finish) == ([], "length")
    assert outcome.only.prompt is not None
    assert outcome.only.prompt.token_ids == tokens
    assert outcome.end is not None
    assert outcome.end.completion_tokens == 0
    assert engine.stats().running == 0


def test_context_end_finishes_by_length(load: Load) -> None:
    engine = load(max_model_len=32)
    [outcome] = generate(engine, request(some_tokens(25, 1), max_tokens=None))
    assert (len(outcome.only.tokens), outcome.only.finish) == (7, "length")
    [last] = generate(engine, request(some_tokens(31, 1), max_tokens=None))
    assert len(last.only.tokens) == 1


@pytest.mark.parametrize(
    ("length", "max_tokens", "words"),
    [
        (33, None, "maximum context length is 32 tokens. However, your prompt resulted in 33 tokens"),
        (32, None, "your prompt resulted in 32 tokens"),
        (30, 5, "you requested 35 tokens (30 in the prompt, 5 in the completion)"),
    ],
)
def test_what_does_not_fit_is_refused(load: Load, length: int, max_tokens: int | None, words: str) -> None:
    engine = load(max_model_len=32)
    with pytest.raises(RequestError) as caught:
        engine.add(1, request(some_tokens(length, 1), max_tokens=max_tokens))
    assert caught.value.code == "CONTEXT_LENGTH_EXCEEDED"
    assert words in str(caught.value)
    assert caught.value.param == "prompt"
    assert not engine.has_work()


def test_a_broken_request_fails_alone(load: Load) -> None:
    """One token's embedding becomes NaN: whoever has it in the prompt fails, neighbours and later owners of the row do not."""
    engine = load(max_num_seqs=3)
    good = [request(some_tokens(9, 1), max_tokens=20), request(some_tokens(14, 2), max_tokens=20)]
    expected = [outcome.only.tokens for outcome in generate(engine, *good)]
    prompts = [some_tokens(9, 1), some_tokens(14, 2), some_tokens(20, 3), some_tokens(60, 4)]
    poison = next(token for token in range(4, 300) if all(token not in tokens for tokens in [*expected, *prompts]))
    model = engine.loaded._parts.batch._runner._model  # type: ignore[attr-defined]
    with torch.inference_mode():
        model.get_input_embeddings().weight[poison] = torch.nan
    bad = [*some_tokens(10, 3), poison, *some_tokens(9, 5)]
    forced = request(some_tokens(60, 4), max_tokens=9, logit_bias=[(poison, 100.0)])
    outcomes = generate(engine, request(bad), good[0], forced, good[1], request(bad, n=2))
    assert [type(outcomes[at].error) for at in (0, 2, 4)] == [ArithmeticError] * 3
    assert outcomes[2].choices[0].tokens == [poison], "drawn once, then fed back"
    assert [outcomes[1].only.tokens, outcomes[3].only.tokens] == expected
    assert [outcome.only.tokens for outcome in generate(engine, *good)] == expected


def test_an_error_of_the_device_ends_the_step(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = load()

    def exhausted(*_: Any, **__: Any) -> None:
        raise torch.OutOfMemoryError("no memory")

    monkeypatch.setattr(engine.loaded._parts.batch._runner, "_model", exhausted)  # type: ignore[attr-defined]
    engine.add(1, request([5]))
    with pytest.raises(torch.OutOfMemoryError):
        engine.step()
