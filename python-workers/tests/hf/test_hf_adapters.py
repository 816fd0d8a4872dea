"""Answers with adapters: as PEFT gives them, whoever else is in the batch, and while adapters are replaced and unloaded."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from adapter_support import ALL, ATTENTION, MLP, command, greedy, load_adapter, save_adapter, scores, unload_adapter
from hf_support import Outcome, finish, generate, request, some_tokens, take

from twinkle_worker.engines.base import Engine, RequestError
from twinkle_worker.engines.hf.lora_stack import Stack

Load = Callable[..., Engine]
Reference = Callable[[str], Any]
TOLERANCE = 1e-4
"""Of log-probabilities in float32, against other kernels."""


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("qwen3", {"rank": 4, "targets": ATTENTION}),
        ("qwen3", {"rank": 8, "targets": MLP, "lora_alpha": 5}),
        ("qwen3", {"rank": 3, "targets": ["lm_head"]}),
        ("tied", {"rank": 8, "targets": ALL}),
        ("llama", {"rank": 16, "targets": ALL, "use_rslora": True}),
        (
            "qwen3",
            {
                "targets": ALL,
                "rank_pattern": {"down_proj": 2, "layers.1.self_attn.q_proj": 6},
                "alpha_pattern": {"^model.layers.0.mlp.up_proj": 3, "q_proj": 11},
            },
        ),
        ("gpt_neox", {"rank": 5, "targets": ["query_key_value", "dense", "dense_4h_to_h", "embed_out"]}),
        ("opt", {"rank": 4, "targets": ["q_proj", "v_proj", "out_proj"]}),
    ],
)
def test_answers_as_peft_does(load: Load, reference: Reference, tmp_path: Path, kind: str, options: Any) -> None:
    """Greedy tokens, their log-probabilities, and those of a prompt that is scored in chunks."""
    model = reference(kind)
    adapted = save_adapter(model, tmp_path / "a", **options)
    engine = load(kind, max_num_batched_tokens=24)
    load_adapter(engine, "a", tmp_path / "a")
    prompts = [some_tokens(length, salt) for salt, length in enumerate((5, 40, 13))]
    asked = [request(tokens, adapter="a", max_tokens=10, logprobs=0, prompt_logprobs=0) for tokens in prompts]
    for tokens, outcome in zip(prompts, generate(engine, *asked), strict=True):
        answer = outcome.only
        expected, logprobs = greedy(adapted, tokens, 10)
        assert answer.tokens == expected
        assert [one.logprob for one in answer.logprobs] == pytest.approx(logprobs, abs=TOLERANCE)
        assert answer.prompt is not None
        assert answer.prompt.logprobs is not None
        scored = scores(adapted, tokens)
        told = [one.logprob for one in answer.prompt.logprobs[1:]]
        assert told == pytest.approx([float(scored[at, token]) for at, token in enumerate(tokens[1:])], abs=TOLERANCE)
        assert not torch.allclose(scored, scores(model, tokens), atol=0.05), "the adapter changes nothing"


@pytest.fixture
def several(reference: Reference, tmp_path: Path) -> Callable[[Engine], list[str | None]]:
    """Loads three adapters of different ranks and targets; gives their names and None."""
    kinds: list[dict[str, Any]] = [
        {"rank": 4, "targets": ALL, "lora_alpha": 9},
        {"rank": 8, "targets": ATTENTION},
        {"rank": 2, "targets": [*MLP, "lm_head"]},
    ]
    for salt, options in enumerate(kinds):
        save_adapter(reference("qwen3"), tmp_path / f"a{salt}", salt=salt + 1, **options)

    def load_all(engine: Engine) -> list[str | None]:
        for salt in range(3):
            load_adapter(engine, f"a{salt}", tmp_path / f"a{salt}")
        return [None, "a0", "a1", "a2"]

    return load_all


def mixed(names: list[str | None], count: int) -> list[Any]:
    """Requests with logprobs: in turns those of ``names``, but runs of the second one, too."""
    return [
        request(
            some_tokens(3 + salt * 5, salt),
            adapter=names[1 if 8 <= salt < 14 else salt % len(names)],
            max_tokens=4 + salt % 11,
            logprobs=1,
            temperature=0.8 * (salt % 2),
            seed=salt,
        )
        for salt in range(count)
    ]


def assert_same(found: list[Outcome], expected: list[Outcome]) -> None:
    """Tokens, and log-probabilities within the tolerance."""
    assert [outcome.only.tokens for outcome in found] == [outcome.only.tokens for outcome in expected]
    for one, other in zip(found, expected, strict=True):
        assert [t.logprob for t in one.only.logprobs] == pytest.approx(
            [t.logprob for t in other.only.logprobs], abs=TOLERANCE
        )


def test_a_mixed_batch_equals_each_alone(load: Load, several: Any) -> None:
    """24 requests through 10 rows, joining at different steps, prefilled together and in chunks; the base model's are what they were."""
    engine = load(max_num_seqs=10, max_num_batched_tokens=48)
    plain = mixed([None] * 4, 24)
    before = [generate(engine, params)[0] for params in plain]
    names = several(engine)
    requests = mixed(names, 24)
    alone = [generate(engine, params)[0] for params in requests]
    changed = [a.only.tokens != b.only.tokens for a, b in zip(alone, before, strict=True)]
    assert changed == [params.adapter is not None for params in requests]
    outcomes: dict[int, Outcome] = {}
    for stream, params in enumerate(requests):
        engine.add(stream, params)
        if stream % 3 == 0:
            take(outcomes, engine.step())
    finish(engine, outcomes)
    assert_same([outcomes[stream] for stream in range(24)], alone)


def test_rows_that_gave_way_keep_their_adapters(load: Load, several: Any) -> None:
    roomy = load()
    names = several(roomy)
    requests = [request(some_tokens(40, at), adapter=names[at % 4], max_tokens=100, logprobs=0) for at in range(6)]
    expected = generate(roomy, *requests)
    token_bytes = 2 * 2 * 2 * 16 * 4
    engine = load(max_model_len=191, max_num_seqs=6, kv_cache_memory_bytes=token_bytes * (192 + 256))
    several(engine)
    for stream, params in enumerate(requests):
        engine.add(stream, params)
    outcomes: dict[int, Outcome] = {}
    waited = 0
    while engine.has_work():
        take(outcomes, engine.step())
        waited = max(waited, engine.stats().waiting) if len(outcomes) == 6 else waited
    assert waited > 0, "nobody gave way"
    assert_same([outcomes[stream] for stream in range(6)], expected)


def test_without_memory_for_a_stack_answers_are_the_same(
    load: Load, several: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = load(max_num_seqs=12)
    requests = mixed(several(engine), 12)
    expected = generate(engine, *requests)

    def fail(*_: Any) -> Stack:
        raise torch.OutOfMemoryError("none left")

    engine.loaded._parts.lora._runner.lora._stack = None  # type: ignore[attr-defined]
    monkeypatch.setattr(Stack, "of", fail)
    assert_same(generate(engine, *requests), expected)


def test_adapters_have_the_dtype_of_the_model(load: Load, reference: Reference, several: Any, tmp_path: Path) -> None:
    """In half precision, mixed: near to what PEFT says in float32, and nearer than the base model is."""
    engine = load(dtype="bfloat16")
    names = several(engine)
    weights = engine.loaded._adapters.get("a0").weights  # type: ignore[attr-defined]
    assert {half.dtype for pair in weights.values() for half in pair} == {torch.bfloat16}
    tokens = some_tokens(20, 3)
    adapted = save_adapter(reference("qwen3"), tmp_path / "again", salt=1, rank=4, targets=ALL, lora_alpha=9)
    expected, base = scores(adapted, tokens), scores(reference("qwen3"), tokens)
    asked = [request(tokens, adapter=name, max_tokens=2, prompt_logprobs=0) for name in names]
    prompt = generate(engine, *asked)[1].only.prompt
    assert prompt is not None
    assert prompt.logprobs is not None
    told = torch.tensor([one.logprob for one in prompt.logprobs[1:]])
    picked = torch.tensor(tokens[1:])[:, None]
    near, far = ((told - found[:-1].gather(1, picked)[:, 0]).abs().mean() for found in (expected, base))
    assert near < 0.1 * far


def test_choices_share_the_adapter_of_their_request(load: Load, several: Any) -> None:
    engine = load()
    several(engine)
    asked = [request(some_tokens(9, 1), n=3, adapter=name, temperature=1.0, seed=3) for name in ("a0", None, "a1")]
    alone = [generate(engine, params)[0] for params in asked]
    assert generate(engine, *asked) == alone
    assert len({str(outcome.choices) for outcome in alone}) == 3


@pytest.mark.parametrize("others", [[], ["b"]], ids=["alone", "stacked"])
def test_new_weights_in_place_are_for_running_requests_too(
    load: Load, reference: Reference, tmp_path: Path, others: list[str]
) -> None:
    """From the very next token on, though nobody joins or leaves the batch."""
    model = reference("qwen3")
    adapted = {
        "a": save_adapter(model, tmp_path / "a", salt=1, targets=MLP),
        "b": save_adapter(model, tmp_path / "b", salt=3, targets=ALL),
    }
    new = save_adapter(model, tmp_path / "new", salt=2, rank=6, targets=["lm_head", *MLP])
    engine = load()
    tokens = some_tokens(12, 4)
    outcomes: dict[int, Outcome] = {}
    names = ["a", *others]
    for name in names:
        load_adapter(engine, name, tmp_path / name)
    for stream, name in enumerate(names):
        engine.add(stream, request(tokens, adapter=name, max_tokens=9, logprobs=0))
    body = {"lora_name": "a", "lora_path": str(tmp_path / "new"), "load_inplace": True}
    take(outcomes, engine.step())
    engine.add_http(9, command("/v1/load_lora_adapter", body))
    take(outcomes, engine.step())
    reading = engine.loaded._adapters._jobs[0].reading  # type: ignore[attr-defined]
    reading.result(30)
    take(outcomes, [(at, item) for at, item in engine.step() if at != 9])
    finish(engine, outcomes)
    found = [one.logprob for one in outcomes[0].only.logprobs]
    old = greedy(adapted["a"], tokens, 9)[1]
    assert found[:2] == pytest.approx(old[:2], abs=TOLERANCE)
    assert abs(found[2] - old[2]) > 10 * TOLERANCE  # type: ignore[operator]
    for stream, name in list(enumerate(names))[1:]:
        other = [one.logprob for one in outcomes[stream].only.logprobs]
        assert other == pytest.approx(greedy(adapted[name], tokens, 9)[1], abs=TOLERANCE)
    [after] = generate(engine, request(tokens, adapter="a", max_tokens=4, logprobs=0))
    assert [one.logprob for one in after.only.logprobs] == pytest.approx(greedy(new, tokens, 4)[1], abs=TOLERANCE)


def test_requests_keep_an_adapter_that_is_unloaded(load: Load, several: Any) -> None:
    """Running, waiting and half computed ones; a new one is refused, and a later adapter of that name is another."""
    engine = load(max_num_seqs=2, max_num_batched_tokens=32)
    several(engine)
    requests = [request(some_tokens(length, length), adapter="a0", max_tokens=12) for length in (5, 90, 8)]
    expected = [generate(engine, params)[0].only.tokens for params in requests]
    outcomes: dict[int, Outcome] = {}
    for stream, params in enumerate(requests):
        engine.add(stream, params)
    take(outcomes, engine.step())
    unload_adapter(engine, "a0", outcomes)
    with pytest.raises(RequestError, match="`a0` does not exist") as refused:
        engine.add(9, requests[0])
    assert (refused.value.code, refused.value.param) == ("MODEL_NOT_FOUND", "model")
    finish(engine, outcomes)
    assert [outcomes[stream].only.tokens for stream in range(3)] == expected
