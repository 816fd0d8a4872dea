"""Tiny models, works of all kinds, and a plain torch + PEFT trainer to compare with, for the tests of this folder."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Sequence
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from torch import Tensor
from transformers import AutoModelForCausalLM, Qwen3Config

from twinkle_worker.protocol import LaunchSpec
from twinkle_worker.training.adapter import Adapter
from twinkle_worker.training.base_model import BaseModel
from twinkle_worker.training.peft_export import adapter_config, named_tensors
from twinkle_worker.training.spec import Datum, LoraSpec, Outcome, StepParams, Work
from twinkle_worker.training.trainer import Trainer, TrainerOptions

VOCABULARY = 96
LENGTH = 64
QWEN3 = Qwen3Config(
    vocab_size=VOCABULARY,
    hidden_size=48,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=2,
    head_dim=16,
    intermediate_size=96,
    max_position_embeddings=LENGTH,
    tie_word_embeddings=True,
    initializer_range=0.2,
)
SPEC = LoraSpec(rank=4, seed=5)
STEP = StepParams(learning_rate=1e-2)
RL = {
    "importance_sampling": {},
    "ppo": {},
    "cispo": {"clip_low_threshold": 0.7, "clip_high_threshold": 1.4},
    "dro": {"beta": 0.05},
}


def make_model(config: Any = QWEN3, dtype: torch.dtype = torch.float32) -> Any:
    """A random model, always the same for a configuration."""
    torch.manual_seed(7)
    return AutoModelForCausalLM.from_config(copy.deepcopy(config), dtype=dtype).eval()


def make_trainer(
    config: Any = QWEN3, dtype: torch.dtype = torch.float32, max_model_len: int = LENGTH, **options: Any
) -> Trainer:
    """A trainer of :func:`make_model`."""
    chosen = TrainerOptions(**options)
    base = BaseModel(make_model(config, dtype), "tiny", max_model_len, chosen.checkpoint_activations)
    return Trainer(base, chosen)


def alone() -> LaunchSpec:
    """Of a rank without others."""
    return LaunchSpec(
        "i", "g", 1, 0, 0, 1, "whole", "ipc://x", None, "id", "training", {}, -1, -1, -1, [], "127.0.0.1", 0
    )


def datum(length: int, salt: int, loss: str = "cross_entropy", **changes: Any) -> Datum:
    """A sequence with all inputs of a loss; ``changes`` replace inputs, None takes one away."""
    random = torch.Generator().manual_seed(1000 * salt + length)
    inputs: dict[str, Any] = {"target_tokens": torch.randint(VOCABULARY, (length,), generator=random)}
    if loss == "cross_entropy":
        inputs["weights"] = torch.rand(length, generator=random)
    else:
        # Near the log-probabilities of a random model, so that ratios fall on both sides of the clip thresholds.
        inputs["logprobs"] = -4.6 + torch.randn(length, generator=random)
        inputs["advantages"] = torch.randn(length, generator=random)
    inputs = {name: value for name, value in {**inputs, **changes}.items() if value is not None}
    return Datum(torch.randint(VOCABULARY, (length,), generator=random, dtype=torch.int32), inputs)


def work(run: str, lengths: Sequence[int], loss: str = "cross_entropy", salt: int = 0, **changes: Any) -> Work:
    """A work of one datum for each length."""
    config = RL.get(loss, {})
    return Work(
        run,
        [datum(length, salt + at, loss) for at, length in enumerate(lengths)],
        loss,
        **{"config": config, **changes},
    )


def good(outcomes: Sequence[Outcome]) -> list[Outcome]:
    """The same, all of which must have come off."""
    for outcome in outcomes:
        assert outcome.error is None, outcome.error
    return list(outcomes)


def logprobs(outcome: Outcome) -> Tensor:
    """Of all datums, end to end."""
    return torch.cat([output["logprobs"].flatten() for output in outcome.outputs])


class Reference:
    """PEFT around the same model with the same adapter, one sequence at a time, autograd all the way."""

    def __init__(self, trainer: Trainer, adapter: Adapter, model: Any = None) -> None:
        spec, targets = adapter.spec, adapter.layout.targets
        config = adapter_config(spec, targets, trainer.base.targets.found, "tiny")
        keys = ("r", "lora_alpha", "lora_dropout", "use_rslora", "bias", "target_modules", "task_type")
        options = LoraConfig(**{key: config[key] for key in keys})
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of tied embeddings, whose head alone is trained here, too
            self.model: Any = get_peft_model(model if model is not None else make_model(), options)
        self.names = list(named_tensors(adapter.layout, adapter.flat))
        parameters = dict(self.model.named_parameters())
        self.parameters = [parameters[name.replace(".weight", ".default.weight")] for name in self.names]
        self.take(adapter)

    def take(self, adapter: Adapter) -> None:
        """Copy the weights of ``adapter``."""
        with torch.no_grad():
            for mine, other in zip(self.parameters, named_tensors(adapter.layout, adapter.flat).values(), strict=True):
                mine.copy_(other)

    def logprobs(self, one: Datum) -> Tensor:
        """Of the targets of a datum, float32 in their shape."""
        logits = self.model(input_ids=one.tokens.long().unsqueeze(0)).logits[0].float()
        targets = one.inputs["target_tokens"]
        return logits.log_softmax(-1).gather(1, targets.view(len(targets), -1)).view(targets.shape)

    def backward(self, works: Sequence[Work]) -> float:
        """Add the gradients of ``works`` up; gives the sum of the losses."""
        total = 0.0
        for one in works:
            for part in one.datums:
                loss = plain_loss(one.loss, self.logprobs(part), part.inputs, one.config)
                loss.backward()
                total += loss.item()
        return total

    def flat_grad(self) -> Tensor:
        """In the order of the adapter's flat tensor."""
        return torch.cat([(p.grad if p.grad is not None else torch.zeros_like(p)).flatten() for p in self.parameters])

    def flat(self) -> Tensor:
        """Weights in the order of the adapter's flat tensor."""
        return torch.cat([parameter.detach().flatten() for parameter in self.parameters])


def plain_loss(loss: str, lp: Tensor, inputs: Any, config: Any) -> Tensor:
    """The table of the Tinker documentation in as few words as torch allows, for autograd."""
    weights = inputs.get("weights", torch.ones_like(lp))
    if loss == "cross_entropy":
        return -(weights * lp).sum()
    q, advantages = inputs["logprobs"], inputs["advantages"]
    ratio = (lp - q).exp()
    low, high = config.get("clip_low_threshold", 0.8), config.get("clip_high_threshold", 1.2)
    if loss == "importance_sampling":
        return -(weights * ratio * advantages).sum()
    if loss == "ppo":
        return -(weights * torch.min(ratio * advantages, ratio.clamp(low, high) * advantages)).sum()
    if loss == "cispo":
        return -(weights * ratio.clamp(low, high).detach() * lp * advantages).sum()
    assert loss == "dro"
    return -(weights * (lp * advantages - 0.5 * config["beta"] * (lp - q) ** 2)).sum()
