"""How tokens are drawn: filters and penalties against transformers' processors, seeds, frequencies, logprobs."""

from __future__ import annotations

import random
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hf_support import generate, request, sampling, some_tokens
from transformers.generation import logits_process as theirs

from twinkle_worker.engines.base import Engine, RequestError
from twinkle_worker.engines.hf.filters import FilterRows, draw, filter_weights, soft_weights
from twinkle_worker.engines.hf.penalties import Adjustments
from twinkle_worker.engines.hf.sampler import BROKEN, Sampler
from twinkle_worker.engines.hf.uniform import UniformRows, choice_key

Load = Callable[..., Engine]
CPU = torch.device("cpu")


def rows_of(vocabulary: int, *filters: tuple[int, float, float]) -> FilterRows:
    """(top_k or 0, top_p, min_p) by row."""
    k = [top_k or vocabulary for top_k, _, _ in filters]
    return FilterRows(
        torch.tensor(k),
        torch.tensor([p for _, p, _ in filters], dtype=torch.float64),
        torch.tensor([m for _, _, m in filters], dtype=torch.float32),
        max((value for value in k if value < vocabulary), default=0),
    )


def their_distribution(logits: torch.Tensor, top_k: int, top_p: float, min_p: float) -> torch.Tensor:
    """The softmax after transformers' warpers, in the order of this engine."""
    warpers: list[Any] = []
    if min_p > 0:
        warpers.append(theirs.MinPLogitsWarper(min_p))
    if top_k > 0:
        warpers.append(theirs.TopKLogitsWarper(top_k))
    if top_p < 1:
        warpers.append(theirs.TopPLogitsWarper(top_p))
    scores = logits[None]
    for warper in warpers:
        scores = warper(torch.zeros((1, 1), dtype=torch.int64), scores)
    return scores.softmax(-1)[0]


@pytest.mark.parametrize("vocabulary", [50, 2000])
@pytest.mark.parametrize("spread", [0.3, 3.0])
def test_filters_equal_the_warpers(vocabulary: int, spread: float) -> None:
    """All rows at once; the flat ones (spread 0.3) need more candidates than are sorted first."""
    filters = [
        *((1, 1.0, 0.0), (7, 1.0, 0.0), (400, 1.0, 0.0), (0, 0.1, 0.0), (0, 0.73, 0.0), (0, 0.999, 0.0)),
        *((0, 1.0, 0.05), (0, 1.0, 0.9), (20, 0.6, 0.0), (0, 0.8, 0.1), (30, 0.9, 0.02), (0, 1.0, 0.0)),
    ]
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn((len(filters), vocabulary), generator=generator) * spread
    weights = filter_weights(soft_weights(logits), rows_of(vocabulary, *filters))
    ours = weights / weights.sum(-1, keepdim=True)
    for row, (top_k, top_p, min_p) in enumerate(filters):
        expected = their_distribution(logits[row], min(top_k, vocabulary), top_p, min_p)
        assert torch.equal(ours[row] > 0, expected > 0), filters[row]
        torch.testing.assert_close(ours[row], expected, rtol=1e-4, atol=1e-7)


def test_a_filtered_row_does_not_depend_on_its_neighbours() -> None:
    """Ties at the edge included: whatever else is in the batch changes how much is sorted, not what is kept."""
    generator = torch.Generator().manual_seed(2)
    logits = torch.randn((8, 1500), generator=generator).mul_(4).round_().div_(4)
    filters = [(0, 0.95, 0.0), (3, 1.0, 0.0), (0, 0.5, 0.0), (900, 1.0, 0.0), (40, 0.9, 0.0), (0, 1.0, 0.2)]
    filters += [(0, 0.9999, 0.0), (0, 1.0, 0.0)]
    together = filter_weights(soft_weights(logits), rows_of(1500, *filters))
    for row, each in enumerate(filters):
        assert torch.equal(filter_weights(soft_weights(logits[row : row + 1]), rows_of(1500, each))[0], together[row])


def test_draw_takes_each_token_as_often_as_its_weight_says() -> None:
    weights = torch.tensor([[0.0, 3.0, 0.0, 1.0, 4.0, 0.0]])
    uniform = torch.linspace(0, 1, 8001, dtype=torch.float64)[:-1]
    drawn = draw(weights.expand(8000, -1), uniform[:, None])
    assert torch.bincount(drawn, minlength=6).tolist() == [0, 3000, 0, 1000, 4000, 0]
    assert draw(weights, torch.tensor([[1 - 2.0**-53]], dtype=torch.float64)).tolist() == [4]


def test_uniform_numbers_count_from_anywhere_and_are_uniform() -> None:
    keys = [choice_key(seed, index, random.Random()) for seed in range(40) for index in range(5)]
    assert len(set(keys)) == 200
    stream = UniformRows(keys, [0] * 200)
    table = np.stack([stream.draw() for _ in range(200)])
    late = UniformRows(keys[7:9], [150, 3])
    assert np.array_equal(late.draw(), [table[150, 7], table[3, 8]])
    assert table.min() >= 0
    assert table.max() < 1
    counts, _ = np.histogram(table, bins=20, range=(0, 1))
    assert abs(counts - 2000).max() < 5 * np.sqrt(2000)
    assert abs(np.corrcoef(table[:-1].ravel(), table[1:].ravel())[0, 1]) < 0.02


def test_a_negative_or_large_seed_is_a_seed() -> None:
    entropy = random.Random(1)
    assert len({choice_key(seed, 0, entropy) for seed in (-1, 1, 2**63, 2**64 - 2, 0)}) == 5
    assert choice_key(None, 0, entropy) != choice_key(None, 0, entropy)


def choice(prompt: list[int], output: list[int], stop_ids: frozenset[int] = frozenset(), **changes: Any) -> Any:
    """As much of a Choice as sampling looks at."""
    asked = SimpleNamespace(prompt=prompt)
    return SimpleNamespace(sampling=sampling(**changes), output=output, request=asked, stop_ids=stop_ids, key=1)


def test_penalties_by_their_formulas() -> None:
    generator = torch.Generator().manual_seed(3)
    logits = torch.randn((3, 20), generator=generator)
    choices = [
        choice([1, 2, 3], [3, 3, 4], repetition_penalty=1.3),
        choice([1], [5], temperature=1.0),
        choice([6, 7], [7, 8, 8, 8], presence_penalty=0.4, frequency_penalty=0.7),
    ]
    expected = logits.clone()
    expected[0] = theirs.RepetitionPenaltyLogitsProcessor(1.3)(torch.tensor([[1, 2, 3, 3, 3, 4]]), logits[:1])[0]
    expected[2, 7] -= 0.4 + 0.7
    expected[2, 8] -= 0.4 + 3 * 0.7
    adjustments = Adjustments(choices, 20, CPU)
    first = logits.clone()
    adjustments.apply(first)
    torch.testing.assert_close(first, expected)
    adjustments.record(torch.tensor([9, 9, 9]))
    second = logits.clone()
    adjustments.apply(second)
    expected[0, 9] = logits[0, 9] * 1.3 if logits[0, 9] < 0 else logits[0, 9] / 1.3
    expected[2, 9] -= 0.4 + 0.7
    torch.testing.assert_close(second, expected)


def test_logit_bias_adds_and_stops_are_banned_in_time() -> None:
    logits = torch.zeros((2, 10))
    choices = [
        choice([1], [], logit_bias=[(3, 2.5), (4, -1.0)]),
        choice([1], [2, 2], frozenset({5, 6}), min_tokens=4),
    ]
    adjustments = Adjustments(choices, 10, CPU)
    adjustments.apply(logits)
    assert logits[0].tolist() == [0, 0, 0, 2.5, -1, 0, 0, 0, 0, 0]
    assert logits[1].isinf().nonzero()[:, 0].tolist() == [5, 6]
    assert adjustments.steps_valid == 2
    assert Adjustments(choices[:1], 10, CPU).steps_valid > 1000


def test_a_row_that_is_not_a_number_is_told_apart() -> None:
    logits = torch.randn((3, 30))
    logits[1, 7] = torch.nan
    drawn = Sampler([choice([1], [], temperature=t) for t in (0.0, 0.7, 0.7)], 30, CPU).sample(logits)
    assert [token == BROKEN for token in drawn.ids] == [False, True, False]
    assert drawn.tokens.tolist()[1] == 0


def test_seeds_decide_and_temperature_0_is_greedy(load: Load) -> None:
    engine = load()
    tokens = some_tokens(10, 1)

    def answer(**options: Any) -> list[int]:
        return generate(engine, request(tokens, max_tokens=16, **options))[0].only.tokens

    assert answer(temperature=1.0, seed=1) == answer(temperature=1.0, seed=1) != answer(temperature=1.0, seed=2)
    assert answer(temperature=1.0) != answer(temperature=1.0), "without a seed each request is its own"
    assert answer(temperature=0.0, seed=1) == answer(temperature=2.0, top_k=1, seed=2)
    assert answer(temperature=0.0) == answer(temperature=1.0, top_p=1e-9)


def test_the_engine_seed_makes_requests_repeatable(load: Load) -> None:
    runs = []
    for seed in (4, 4, 5):
        engine = load(seed=seed)
        runs.append([o.only.tokens for o in generate(engine, *[request(some_tokens(5, 1), temperature=1.0)] * 2)])
    assert runs[0] == runs[1] != runs[2]
    assert runs[0][0] != runs[0][1]


def test_logprobs_are_the_models_own(load: Load, reference: Callable[[str], Any]) -> None:
    """Raw: neither temperature nor bias nor filters change them; greedy and drawn rows, with and without, side by side."""
    engine = load()
    tokens = some_tokens(10, 1)
    wants: list[dict[str, Any]] = [
        {"logprobs": 3},
        {},
        {"logprobs": 0, "temperature": 1.2, "top_k": 5, "seed": 1},
        {"logprobs": 1, "logit_bias": [(9, 30.0)], "presence_penalty": 1.0},
    ]
    outcomes = generate(engine, *(request(tokens, **want) for want in wants))
    assert outcomes[1].only.logprobs == []
    for want, outcome in zip(wants, outcomes, strict=True):
        if "logprobs" not in want:
            continue
        answer = outcome.only
        logits = reference("qwen3")(torch.tensor([[*tokens, *answer.tokens]])).logits[0, len(tokens) - 1 : -1]
        expected = torch.log_softmax(logits, -1)
        assert [entry.token_id for entry in answer.logprobs] == answer.tokens
        for at, entry in enumerate(answer.logprobs):
            assert entry.logprob == pytest.approx(float(expected[at, entry.token_id]), abs=2e-4)
            best = expected[at].topk(want["logprobs"])
            assert [top[0] for top in entry.top] == best.indices.tolist()
            assert [top[3] for top in entry.top] == pytest.approx(best.values.tolist(), abs=2e-4)
            assert bytes(entry.bytes).decode("utf-8", "replace") == entry.token


@pytest.mark.parametrize("chunk", [512, 7])
def test_prompt_logprobs(load: Load, reference: Callable[[str], Any], chunk: int) -> None:
    tokens = some_tokens(40, 1)
    engine = load(max_num_batched_tokens=chunk)
    others = [request(some_tokens(9, 2)), request(some_tokens(5, 3), echo=True)]
    scored, plain, echoed = generate(engine, request(tokens, prompt_logprobs=2), *others)
    expected = torch.log_softmax(reference("qwen3")(torch.tensor([tokens])).logits[0], -1)
    info = scored.only.prompt
    assert info is not None
    assert info.logprobs is not None
    assert info.token_ids == tokens
    assert [entry.token_id for entry in info.logprobs] == tokens
    assert info.logprobs[0].logprob is None
    assert info.logprobs[0].top == []
    for at, entry in enumerate(info.logprobs[1:]):
        assert entry.logprob == pytest.approx(float(expected[at, tokens[at + 1]]), abs=2e-4)
        assert [top[0] for top in entry.top] == expected[at].topk(2).indices.tolist()
    assert plain.only.prompt is None
    assert echoed.only.prompt is not None
    assert echoed.only.prompt.logprobs is None
    assert b"".join(bytes(entry.bytes) for entry in info.logprobs).decode("utf-8", "replace") == info.text


@pytest.mark.parametrize(
    ("param", "changes"),
    [
        ("temperature", {"temperature": -0.1}),
        ("temperature", {"temperature": float("nan")}),
        ("temperature", {"temperature": float("inf")}),
        ("top_p", {"top_p": 0.0}),
        ("top_k", {"top_k": -2}),
        ("min_p", {"min_p": 1.5}),
        ("repetition_penalty", {"repetition_penalty": 0.0}),
        ("presence_penalty", {"presence_penalty": 2.5}),
        ("frequency_penalty", {"frequency_penalty": -2.5}),
        ("max_tokens", {"max_tokens": -1}),
        ("min_tokens", {"min_tokens": 9}),
        ("stop", {"stop": ["a", ""]}),
        ("stop_token_ids", {"stop_token_ids": [384]}),
        ("logit_bias", {"logit_bias": [(-1, 1.0)]}),
        ("logit_bias", {"logit_bias": [(1, 101.0)]}),
        ("logprobs", {"logprobs": 21}),
        ("prompt_logprobs", {"prompt_logprobs": -1}),
        ("n", {"n": 0}),
        ("n", {"n": 129}),
    ],
)
def test_values_out_of_range_are_refused(load: Load, param: str, changes: dict[str, Any]) -> None:
    engine = load()
    with pytest.raises(RequestError) as caught:
        engine.add(1, request([5], **changes))
    assert (caught.value.code, caught.value.param) == ("INVALID_REQUEST", param)
    assert not engine.has_work()
