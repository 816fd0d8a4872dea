"""What a model wants where a request says nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from twinkle_worker.engines.base import LoadError
from twinkle_worker.engines.sampling_defaults import sampling_defaults
from twinkle_worker.protocol import SamplingDefaults

NEUTRAL = SamplingDefaults(
    temperature=1.0,
    top_p=1.0,
    top_k=0,
    min_p=0.0,
    repetition_penalty=1.0,
    presence_penalty=0.0,
    frequency_penalty=0.0,
    max_tokens=None,
    max_tokens_limit=None,
)


@pytest.mark.parametrize(
    "config", [{}, {"temperature": None, "max_new_tokens": None}, {"do_sample": False, "top_h": 3}]
)
def test_nothing_that_counts_is_neutral(config: dict[str, Any]) -> None:
    assert sampling_defaults(config) == NEUTRAL


def test_every_key_counts() -> None:
    values = {"temperature": 0, "top_p": 0.5, "top_k": 20, "min_p": 0.1, "repetition_penalty": 1.2}
    penalties = {"presence_penalty": -2, "frequency_penalty": 2}
    found = sampling_defaults({**values, **penalties, "max_new_tokens": 7}, 9)
    assert msgspec.to_builtins(found) == {**values, **penalties, "max_tokens": 7, "max_tokens_limit": 9}


@pytest.mark.parametrize("all_tokens", [-1, 0, 0.0])
def test_all_tokens_have_one_name(all_tokens: float) -> None:
    assert sampling_defaults({"top_k": all_tokens}) == NEUTRAL


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("temperature", -0.1),
        ("temperature", "warm"),
        ("temperature", True),
        ("temperature", float("nan")),
        ("top_p", 0),
        ("top_p", 1.1),
        ("top_k", -2),
        ("top_k", 1.5),
        ("top_k", float("inf")),
        ("min_p", 2),
        ("repetition_penalty", 0),
        ("presence_penalty", 3),
        ("frequency_penalty", -3),
        ("max_new_tokens", 0),
        ("max_new_tokens", 1.5),
        ("max_new_tokens", True),
    ],
)
def test_a_value_out_of_its_range_ends_the_start(name: str, value: Any) -> None:
    with pytest.raises(LoadError, match=f"`{name}` of the generation config but received"):
        sampling_defaults({name: value})


def test_the_demo_model_wants_nothing_special() -> None:
    folder = Path(__file__).resolve().parents[2] / "demo_model" / "model"
    assert sampling_defaults(json.loads((folder / "generation_config.json").read_text())) == NEUTRAL
