"""Log-probabilities of prompts under adapters of the output layer: in a batch with others they are what an independent model says."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from lora_support import write_adapter
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM
from vllm.lora.layers import LogitsProcessorWithLoRA
from vllm_http import Answer, Client
from vllm_support import MODEL, loaded, request

from twinkle_worker.engines.vllm import prompt_logprobs

TOKENS = [40, 73, 122, 500, 31, 900, 77, 1200, 65, 88, 41]
RANK = 4


def of_prompt(answer: Answer) -> list[float]:
    return [one.logprob for one in answer.parts[0].prompt.logprobs[1:]]


def reference(folder: str | None) -> list[float]:
    """By transformers, the adapter added to the weights."""
    model = AutoModelForCausalLM.from_pretrained(MODEL, dtype=torch.float32)
    if folder is not None:
        # Not tied any more: the adapter is the output layer's alone.
        model.lm_head.weight = torch.nn.Parameter(model.lm_head.weight.detach().clone())
        weights = load_file(Path(folder) / "adapter_model.safetensors")
        for name in {name.rsplit(".lora_", 1)[0] for name in weights}:
            added = weights[f"{name}.lora_B.weight"] @ weights[f"{name}.lora_A.weight"]
            with torch.no_grad():
                model.get_submodule(name.removeprefix("base_model.model.")).weight += added
    with torch.no_grad():
        logprobs = model(torch.tensor([TOKENS])).logits[0].log_softmax(-1)
    return [float(logprobs[at, token]) for at, token in enumerate(TOKENS[1:])]


def test_each_request_has_its_own_adapter(tmp_path: Path) -> None:
    folders = {f"a{seed}": write_adapter(MODEL, tmp_path / str(seed), seed, RANK, head=True) for seed in (1, 2)}
    engine = loaded(
        enable_lora=True, max_lora_rank=8, max_loras=2, lora_modules=[f"{n}={p}" for n, p in folders.items()]
    )
    client = Client(engine)
    wanted = {None: reference(None), **{name: reference(folder) for name, folder in folders.items()}}
    answers = [
        (adapter, client.ask(request(TOKENS, adapter=adapter, max_tokens=3, prompt_logprobs=0)))
        for adapter in (None, "a1", "a2", "a1", None)
    ]
    client.finish(*(answer for _, answer in answers))
    for adapter, answer in answers:
        assert of_prompt(answer) == pytest.approx(wanted[adapter], abs=2e-3), adapter
    engine.close()


class PlayedHead(LogitsProcessorWithLoRA):
    """An output layer with two adapters, by whose wrapper logits are computed."""

    def __init__(self) -> None:
        torch.nn.Module.__init__(self)
        self.a, self.b = torch.randn(2, 1, RANK, 6), torch.randn(2, 1, 9, RANK)
        self.punica_wrapper: Any = None

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        return self.punica_wrapper.add_lora_logits(torch.zeros(len(hidden), 9), hidden, self.a, self.b, 1.0)


def test_the_second_runner_which_takes_all_tokens_of_a_step_in_pieces() -> None:
    """It needs a GPU; here one that hands over the same as that of vLLM 0.26."""
    head = PlayedHead()

    class PlayedRunner:
        def load_model(self, load_dummy_weights: bool = False) -> None:
            self.lora_state = SimpleNamespace(lora_ids=np.array([0, 7, 5, 7]))
            manager = SimpleNamespace(modules={"lm_head": head}, lora_index_to_id=[5, 7])
            self.lora_manager = SimpleNamespace(_adapter_manager=manager)
            self.prompt_logprobs_worker = SimpleNamespace(
                compute_prompt_logprobs=lambda logits_fn, hidden, batch, *others: torch.cat(
                    [logits_fn(hidden[:4]), logits_fn(hidden[4:])]
                )
            )

    prompt_logprobs._replace(PlayedRunner, "load_model", prompt_logprobs._loaded)
    runner = PlayedRunner()
    runner.load_model()
    hidden = torch.randn(6, 6)
    batch = SimpleNamespace(idx_mapping_np=np.array([2, 0, 3]), num_scheduled_tokens=np.array([3, 1, 2]))
    logits = runner.prompt_logprobs_worker.compute_prompt_logprobs(head.logits, hidden, batch, 1, 2, 3)
    of = [(head.b[slot, 0] @ head.a[slot, 0]).T for slot in (0, 1)]
    expected = torch.cat([hidden[:3] @ of[0], torch.zeros(1, 9), hidden[4:] @ of[1]])
    assert torch.allclose(logits, expected, atol=1e-5)
    assert head.punica_wrapper is None
