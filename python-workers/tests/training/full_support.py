"""Full runs beside a plain loop of torch over all parameters of the same model, for the tests of this folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from training_support import LENGTH, QWEN3, VOCABULARY, make_model, plain_loss
from transformers import LlamaConfig

from twinkle_worker.training.base_model import BaseModel
from twinkle_worker.training.full_run import FullRun
from twinkle_worker.training.spec import Datum, FullSpec, StepParams, Work
from twinkle_worker.training.trainer import Trainer, TrainerOptions

ALL = FullSpec()
UNTIED = LlamaConfig(
    vocab_size=VOCABULARY,
    hidden_size=48,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=2,
    intermediate_size=96,
    max_position_embeddings=LENGTH,
    initializer_range=0.2,
    tie_word_embeddings=False,
    bos_token_id=None,
    eos_token_id=None,
    pad_token_id=None,
)
CONFIGS: dict[str, Any] = {"tied": QWEN3, "untied": UNTIED}


class PlainLoop:
    """torch.optim.AdamW and autograd over the parameters of a model, one sequence at a time."""

    def __init__(self, model: Any, names: Sequence[str], params: StepParams) -> None:
        self.model = model.requires_grad_(False)
        self.parameters: list[nn.Parameter] = [model.get_parameter(name) for name in names]
        for weight in self.parameters:
            weight.requires_grad_(True)
        betas = (params.beta1, params.beta2)
        self.optimizer: torch.optim.Optimizer = torch.optim.AdamW(
            self.parameters,
            lr=params.learning_rate,
            betas=betas,
            eps=params.eps,
            weight_decay=params.weight_decay,
            foreach=False,
        )

    def logprobs(self, one: Datum) -> Tensor:
        """Of the targets of a datum."""
        logits = self.model(input_ids=one.tokens.long().unsqueeze(0)).logits[0].float()
        return logits.log_softmax(-1).gather(1, one.inputs["target_tokens"].unsqueeze(1))[:, 0]

    def backward(self, works: Sequence[Work]) -> float:
        """Add the gradients of ``works`` up; gives the sum of the losses."""
        total = 0.0
        for one in works:
            for part in one.datums:
                loss = plain_loss(one.loss, self.logprobs(part), part.inputs, one.config)
                loss.backward()
                total += loss.item()
        return total

    def step(self) -> None:
        """And begin anew."""
        self.optimizer.step()
        self.optimizer.zero_grad()

    def grad(self) -> Tensor:
        """As a run has it: in the order of the names."""
        return torch.cat(
            [(torch.zeros_like(one) if one.grad is None else one.grad).flatten() for one in self.parameters]
        )

    def flat(self) -> Tensor:
        """As a run has it."""
        return torch.cat([one.detach().flatten() for one in self.parameters])


def full(trainer: Trainer, run: str = "run") -> FullRun:
    """That run, which must be a full one."""
    found = trainer.adapter(run)
    assert isinstance(found, FullRun)
    return found


def values(model: Any) -> dict[str, Tensor]:
    """A copy of what a model has."""
    return {name: value.clone() for name, value in model.state_dict().items()}


def same(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> bool:
    """Bit for bit."""
    return one.keys() == other.keys() and all(torch.equal(value, other[name]) for name, value in one.items())


def trainer_of(folder: Path, model: Any) -> Trainer:
    """A trainer of ``model``, which is written to ``folder`` as its base, with more files than weights."""
    model.save_pretrained(folder)
    (folder / "tokenizer.json").write_text("{}")
    return Trainer(BaseModel(model, str(folder), LENGTH), TrainerOptions())


def tiny(kind: str, dtype: torch.dtype = torch.float32) -> Any:
    """A fresh model of CONFIGS, always the same."""
    return make_model(CONFIGS[kind], dtype)
