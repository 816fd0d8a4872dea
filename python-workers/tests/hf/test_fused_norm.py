"""Norms that get torch's kernel answer as before, and others keep their own."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from transformers.models.gemma.modeling_gemma import GemmaRMSNorm
from transformers.models.llama.modeling_llama import LlamaRMSNorm
from transformers.models.qwen3.modeling_qwen3 import Qwen3RMSNorm

from twinkle_worker.engines.hf.fused_norm import fuse_norms


class GatedRMSNorm(Qwen3RMSNorm):
    """Takes a second argument, as some hybrid models' do."""

    def forward(self, hidden_states: Tensor, gate: Tensor | None = None) -> Tensor:  # type: ignore[override]
        normed = super().forward(hidden_states)
        return normed if gate is None else normed * gate


def _model(*norms: nn.Module) -> nn.Sequential:
    torch.manual_seed(3)
    for norm in norms:
        for weight in norm.parameters():
            nn.init.normal_(weight, 1.0, 0.2)
    return nn.Sequential(*norms)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@torch.no_grad()
def test_plain_norms_answer_the_same(dtype: torch.dtype) -> None:
    model = _model(LlamaRMSNorm(48, 1e-5), Qwen3RMSNorm(48, 1e-6)).to(dtype)
    hidden = torch.randn(2, 7, 48).to(dtype)
    expected = model(hidden)
    assert fuse_norms(model) == 2
    assert type(model[0].forward).__name__ == "partial"
    found = model(hidden)
    assert found.dtype == dtype
    torch.testing.assert_close(found, expected, rtol=8 * torch.finfo(dtype).eps, atol=1e-6)


@torch.no_grad()
def test_a_weight_that_is_put_there_later_is_the_one_that_counts() -> None:
    model = _model(Qwen3RMSNorm(48, 1e-6))
    fuse_norms(model)
    other = Qwen3RMSNorm(48, 1e-6)
    model[0].weight = nn.Parameter(torch.full((48,), 3.0))
    hidden = torch.randn(5, 48)
    torch.testing.assert_close(model(hidden), 3 * other(hidden))


@torch.no_grad()
def test_other_norms_keep_their_own() -> None:
    model = _model(GemmaRMSNorm(48), GatedRMSNorm(48), nn.LayerNorm(48))
    hidden = torch.randn(2, 48)
    expected = model(hidden)
    assert fuse_norms(model) == 0
    assert torch.equal(model(hidden), expected)
