"""Which models can be trained, what is a target in them, and that packed passes answer as the models do by themselves."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from training_support import QWEN3, SPEC, VOCABULARY, good, logprobs, make_model, make_trainer, work
from transformers import (
    Gemma2Config,
    GPT2Config,
    GPTNeoXConfig,
    LlamaConfig,
    MistralConfig,
    OPTConfig,
    Phi3Config,
    Qwen3MoeConfig,
)

from twinkle_worker.engines.base import LoadError
from twinkle_worker.training import attention
from twinkle_worker.training.attention import packed_attention
from twinkle_worker.training.base_model import BaseModel
from twinkle_worker.training.errors import TrainingError
from twinkle_worker.training.packed import PackedLayout
from twinkle_worker.training.spec import LoraSpec

SIZE: dict[str, Any] = {"vocab_size": VOCABULARY, "hidden_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
MORE: dict[str, Any] = {**SIZE, "intermediate_size": 96, "max_position_embeddings": 64, "initializer_range": 0.2}
IDS: dict[str, Any] = {"bos_token_id": None, "eos_token_id": None, "pad_token_id": None}
CONFIGS: dict[str, Any] = {
    "qwen3": QWEN3,
    "llama": LlamaConfig(**MORE, **IDS, num_key_value_heads=2, tie_word_embeddings=False),
    "mistral": MistralConfig(**MORE, **IDS, num_key_value_heads=1, sliding_window=4),
    "gpt_neox": GPTNeoXConfig(**MORE, **IDS),
    "phi3": Phi3Config(**MORE, **IDS, num_key_value_heads=4),
    "opt": OPTConfig(**SIZE, ffn_dim=96, max_position_embeddings=64, word_embed_proj_dim=48, init_std=0.2, dropout=0.1),
}
LINEARS = {"qwen3": (8, 6), "llama": (8, 6), "mistral": (8, 6), "gpt_neox": (4, 4), "phi3": (4, 4), "opt": (8, 4)}


@pytest.mark.parametrize("kind", CONFIGS)
def test_packed_is_unpacked_and_each_kind_is_found(kind: str) -> None:
    plain, trainer = make_model(CONFIGS[kind]), make_trainer(CONFIGS[kind])
    found = trainer.base.targets
    assert found.gaps == {}
    counts = tuple(sum(target.kind == kind for target in found.found) for kind in ("attn", "mlp", "unembed"))
    assert counts == (*LINEARS[kind], 1)
    trainer.create("run", SPEC)
    batch = work("run", [9, 17, 17, 1, 30])
    answer = good(trainer.forward_backward([batch]))[0]
    for one, output in zip(batch.datums, answer.outputs, strict=True):
        with torch.no_grad():
            logits = plain(input_ids=one.tokens.long().unsqueeze(0)).logits[0]
        expected = logits.log_softmax(-1).gather(1, one.inputs["target_tokens"].unsqueeze(1))[:, 0]
        torch.testing.assert_close(output["logprobs"], expected, atol=1e-5, rtol=1e-5)


def test_windows_are_really_attended_within() -> None:
    """Otherwise the test above could pass with full attention."""
    narrow, wide = (
        make_trainer(MistralConfig(**MORE, **IDS, num_key_value_heads=1, sliding_window=w)) for w in (4, 60)
    )
    for each in (narrow, wide):
        each.create("run", SPEC)
    short, long = work("run", [4]), work("run", [20])
    for one, same in ((short, True), (long, False)):
        first, second = (logprobs(good(each.forward_backward([one]))[0]) for each in (narrow, wide))
        assert torch.allclose(first, second, atol=1e-5) == same


def test_without_an_adapter_layers_answer_as_the_base_bit_for_bit() -> None:
    plain, base = make_model(), make_trainer().base
    ids = torch.arange(3, 40).unsqueeze(0)
    base.model.set_attn_implementation("sdpa")
    assert torch.equal(base.model(input_ids=ids).logits, plain(input_ids=ids).logits)
    assert list(base.model.state_dict()) == list(plain.state_dict())


def test_a_tied_head_is_trained_and_its_embedding_is_not() -> None:
    trainer = make_trainer()
    adapter = trainer.create("run", LoraSpec(rank=4, seed=1, train_attn=False, train_mlp=False))
    assert [target.name for target in adapter.layout.targets] == ["lm_head"]
    before = {name: value.clone() for name, value in trainer.base.model.state_dict().items()}
    good(trainer.forward_backward([work("run", [9, 17])]))
    assert adapter.grad.any()
    after = trainer.base.model.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert trainer.base.model.lm_head.weight is trainer.base.model.model.embed_tokens.weight


@pytest.mark.parametrize("kinds", [("attn",), ("mlp",), ("attn", "unembed")])
def test_only_what_is_asked_for_is_trained(kinds: tuple[str, ...]) -> None:
    trainer = make_trainer()
    flags = {f"train_{kind}": kind in kinds for kind in ("attn", "mlp", "unembed")}
    adapter = trainer.create("run", LoraSpec(rank=4, seed=1, **flags))
    assert {target.kind for target in adapter.layout.targets} == set(kinds)
    with pytest.raises(TrainingError, match="nothing"):
        LoraSpec(rank=4, train_attn=False, train_mlp=False, train_unembed=False).check(8)


def test_fused_experts_are_refused_for_mlp_alone() -> None:
    trainer = make_trainer(
        Qwen3MoeConfig(
            **MORE,
            **IDS,
            num_key_value_heads=2,
            head_dim=16,
            num_experts=4,
            num_experts_per_tok=2,
            moe_intermediate_size=32,
        )
    )
    with pytest.raises(TrainingError, match=r"train_mlp: model.layers.0.mlp\S* .* no linear layer") as caught:
        trainer.create("run", SPEC)
    assert (caught.value.code, caught.value.param) == ("UNSUPPORTED_PARAMETER", "lora_config.train_mlp")
    trainer.create("run", LoraSpec(rank=4, train_mlp=False))
    good(trainer.forward_backward([work("run", [9, 17])]))


def test_matrices_that_are_no_linear_layers_are_named() -> None:
    trainer = make_trainer(GPT2Config(vocab_size=VOCABULARY, n_positions=64, n_embd=48, n_layer=1, n_head=4))
    with pytest.raises(TrainingError, match=r"transformer\.h\.0\.attn\.c_attn \(Conv1D\)"):
        trainer.create("run", SPEC)
    trainer.create("run", LoraSpec(rank=4, train_mlp=False, train_attn=False))


def test_attention_that_is_not_done_here_is_refused_at_load() -> None:
    with pytest.raises(LoadError, match="softcap"):
        make_trainer(Gemma2Config(**MORE, **IDS, num_key_value_heads=2, head_dim=16))


def test_a_model_that_changes_its_logits_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    model = make_model()
    forward = model.forward

    def scaled(*args: Any, **kwargs: Any) -> Any:
        answer = forward(*args, **kwargs)
        answer.logits = answer.logits * 0.5
        return answer

    monkeypatch.setattr(model, "forward", scaled)
    with pytest.raises(LoadError, match="changes its logits"):
        BaseModel(model, "tiny", 64)


def test_a_model_that_keeps_its_window_in_its_mask_is_refused() -> None:
    """The window is over what the packed pass at load is long, so the answers are alike and only this check can tell."""
    config = copy.deepcopy(QWEN3)
    config.layer_types, config.sliding_window = ["full_attention", "sliding_attention"], 40
    model = make_model(config)
    model.model.layers[1].self_attn.sliding_window = 40
    BaseModel(model, "tiny", 64)
    model = make_model(config)
    model.model.layers[1].self_attn.sliding_window = None
    with pytest.raises(LoadError, match="sliding_attention"):
        BaseModel(model, "tiny", 64)
    config.sliding_window = 64
    model = make_model(config)
    model.model.layers[1].self_attn.sliding_window = None
    BaseModel(model, "tiny", 64)


def test_ragged_attention_of_torch_is_called_with_the_same_meaning(monkeypatch: pytest.MonkeyPatch) -> None:
    """The CUDA path without CUDA: a stand-in for varlen_attn that attends by its documented arguments."""
    calls: list[tuple[int, int]] = []

    def varlen(q: Any, k: Any, v: Any, cu_q: Any, cu_k: Any, most_q: int, most_k: int, **options: Any) -> Any:
        assert (options["window_size"][1], cu_q.dtype, most_q, most_k) == (0, torch.int32, 9, 9)
        assert (cu_q is cu_k, options["enable_gqa"]) == (True, True)
        calls.append(options["window_size"])
        left = options["window_size"][0]
        out = torch.empty_like(q)
        for start, stop in zip(cu_q.tolist(), cu_q.tolist()[1:], strict=False):
            n = stop - start
            see = torch.ones(n, n, dtype=torch.bool).tril()
            see = see if left < 0 else see.triu(-left)
            one = (part[start:stop].transpose(0, 1).float() for part in (q, k, v))
            own = torch.nn.functional.scaled_dot_product_attention(
                *one, attn_mask=see, scale=options["scale"], enable_gqa=True
            )
            out[start:stop] = own.transpose(0, 1).to(q.dtype)
        return out

    layout = PackedLayout([9, 4, 4], torch.device("cpu"))
    q, k, v = (torch.randn(1, heads, 17, 16, dtype=torch.bfloat16) for heads in (4, 2, 2))
    module = torch.nn.Module()
    for window in (None, 3, 9):
        expected, _ = packed_attention(module, q, k, v, None, scaling=0.3, sliding_window=window, packed=layout)
        with monkeypatch.context() as patch:
            patch.setattr(attention, "_varlen", varlen)
            patch.setattr(attention, "_fits_varlen", lambda *_: True)
            patch.setattr(torch.Tensor, "is_cuda", True)
            got, _ = packed_attention(module, q, k, v, None, scaling=0.3, sliding_window=window, packed=layout)
        torch.testing.assert_close(got, expected, atol=2e-2, rtol=2e-2)
    assert calls == [(-1, 0), (2, 0), (-1, 0)]
