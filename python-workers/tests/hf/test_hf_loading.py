"""Loading: phases, options, memory, and a clear reason for everything that cannot be loaded."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import IDS, SIZE, save_tokenizer
from hf_support import VOCABULARY, generate, request, some_tokens
from transformers import (
    AutoModelForCausalLM,
    BertConfig,
    BloomConfig,
    GPT2Config,
    MambaConfig,
    MistralConfig,
    Qwen3NextConfig,
    T5Config,
)

from twinkle_worker.engines.base import Engine, LoadError
from twinkle_worker.engines.hf import create_engine
from twinkle_worker.engines.hf.memory import free_memory
from twinkle_worker.engines.hf.options import EngineOptions, parse_options
from twinkle_worker.engines.hf.threads import thread_count
from twinkle_worker.protocol import LoadParams

Load = Callable[..., Engine]
Folder = Callable[[str], Path]


def refusal(folder: Path | str, **options: Any) -> str:
    """Why it is not loaded."""
    engine = create_engine()
    try:
        with pytest.raises(LoadError) as caught:
            engine.load(LoadParams(model=str(folder), options={"device": "cpu", **options}), lambda *_: None)
    finally:
        engine.close()
    return str(caught.value)


@pytest.fixture
def copy(model_folder: Folder, tmp_path: Path) -> Path:
    """A model folder to break."""
    return Path(shutil.copytree(model_folder("qwen3"), tmp_path / "model"))


def built(config: Any, folder: Path) -> Path:
    """A random model of ``config`` with a tokenizer."""
    torch.manual_seed(3)
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    save_tokenizer(folder)
    return folder


def test_importing_and_creating_the_engine_imports_no_torch() -> None:
    code = (
        "import sys; from twinkle_worker.engines.hf import create_engine; e = create_engine(); e.stats(); "
        "assert not e.has_work(); e.close(); sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    )
    root = Path(__file__).resolve().parents[2]
    assert subprocess.run([sys.executable, "-c", code], cwd=root, check=False).returncode == 0


def test_preload_starts_no_thread_and_needs_no_model(model_folder: Folder) -> None:
    code = (
        "import sys, os; from twinkle_worker.engines.hf.preload import preload; preload(['no/such', *sys.argv[1:]]); "
        "assert 'transformers.models.qwen3.modeling_qwen3' in sys.modules; import threading; "
        "assert 'transformers.models.llama.modeling_llama' in sys.modules; "
        "assert threading.active_count() == 1; assert not sys.modules['torch'].cuda.is_initialized()"
    )
    root = Path(__file__).resolve().parents[2]
    folders = [str(model_folder(kind)) for kind in ("qwen3", "llama")]
    done = subprocess.run([sys.executable, "-c", code, *folders], cwd=root, check=False)
    assert done.returncode == 0


def test_progress_goes_through_the_phases_in_order(model_folder: Folder) -> None:
    seen: list[tuple[str, float]] = []
    engine = create_engine()
    params = LoadParams(model=str(model_folder("llama")), options={"device": "cpu", "max_num_seqs": "7"})
    card = engine.load(params, lambda phase, fraction, _: seen.append((phase, fraction)))
    engine.close()
    phases = [phase for phase, _ in seen]
    assert list(dict.fromkeys(phases)) == ["import", "config", "tokenizer", "weights", "warmup"]
    assert phases == sorted(phases, key=["import", "config", "tokenizer", "weights", "warmup"].index)
    for phase in phases[1:]:
        fractions = [fraction for name, fraction in seen if name == phase]
        assert fractions == sorted(fractions)
        assert phase == "import" or fractions[-1] == 1
    assert (card.max_num_seqs, card.max_model_len, card.vocab_size) == (7, 512, VOCABULARY)
    assert (card.dtype, card.device, card.chat_template) == ("float32", "cpu", True)
    model = AutoModelForCausalLM.from_pretrained(model_folder("llama"))
    assert card.parameters == sum(weight.numel() for weight in model.parameters())


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision_on_the_cpu(load: Load, dtype: str) -> None:
    engine = load(dtype=dtype)
    outcomes = generate(engine, *(request(some_tokens(5 + at, at), temperature=0.5 * at, seed=1) for at in range(3)))
    assert all(outcome.error is None and len(outcome.only.tokens) == 8 for outcome in outcomes)


def test_gpt2_with_learned_positions_is_served(tmp_path: Path) -> None:
    config = GPT2Config(
        vocab_size=VOCABULARY, n_embd=48, n_layer=2, n_head=4, n_positions=64, eos_token_id=2, bos_token_id=0
    )
    engine = create_engine()
    card = engine.load(LoadParams(model=str(built(config, tmp_path)), options={"device": "cpu"}), lambda *_: None)
    assert card.max_model_len == 64
    [outcome] = generate(engine, request(some_tokens(60, 1), max_tokens=None))
    assert len(outcome.only.tokens) == 4
    engine.close()


def test_a_model_in_shards(model_folder: Folder, tmp_path: Path, load: Load) -> None:
    model = AutoModelForCausalLM.from_pretrained(model_folder("qwen3"))
    model.save_pretrained(tmp_path, max_shard_size="60KB")
    save_tokenizer(tmp_path)
    engine = create_engine()
    engine.load(LoadParams(model=str(tmp_path), options={"device": "cpu"}), lambda *_: None)
    one, many = generate(load(), request(some_tokens(5, 1))), generate(engine, request(some_tokens(5, 1)))
    engine.close()
    assert one[0].only.tokens == many[0].only.tokens
    shard = sorted(tmp_path.glob("model-*.safetensors"))[1]
    shard.unlink()
    assert shard.name in refusal(tmp_path)


def test_nothing_there(tmp_path: Path) -> None:
    assert "does not exist" in refusal(tmp_path / "none")
    (tmp_path / "file").write_text("x")
    assert "is a file" in refusal(tmp_path / "file")
    assert "no config.json" in refusal(tmp_path)


def test_an_unknown_hub_id_without_network(monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    reason = refusal("twinkle-test-org/no-such-model")
    assert "configuration of twinkle-test-org/no-such-model cannot be loaded" in reason


def test_no_weights_names_what_was_looked_for(copy: Path) -> None:
    (copy / "model.safetensors").unlink()
    reason = refusal(copy)
    assert "no weights" in reason
    assert "model.safetensors.index.json" in reason
    assert "pytorch_model.bin" in reason


def test_no_tokenizer(copy: Path) -> None:
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (copy / name).unlink()
    assert "no tokenizer" in refusal(copy)


def test_broken_files(copy: Path) -> None:
    weights = copy / "model.safetensors"
    content = weights.read_bytes()
    weights.write_bytes(content[: len(content) // 2])
    assert "the weights of" in refusal(copy)
    weights.write_bytes(content)
    (copy / "tokenizer.json").write_text("{broken")
    assert "the tokenizer of" in refusal(copy)
    (copy / "config.json").write_text("{broken")
    assert "cannot be read as JSON" in refusal(copy)
    (copy / "config.json").write_text("[]")
    assert "no JSON object" in refusal(copy)


def test_weights_that_lack_tensors(copy: Path) -> None:
    from safetensors.torch import load_file, save_file

    weights = load_file(copy / "model.safetensors")
    del weights["model.layers.1.mlp.up_proj.weight"]
    save_file(weights, copy / "model.safetensors", metadata={"format": "pt"})
    reason = refusal(copy)
    assert "lack 1 tensors" in reason
    assert "layers.1.mlp.up_proj" in reason


def test_an_unknown_architecture(copy: Path) -> None:
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps({**config, "model_type": "from_the_future"}))
    assert "from_the_future" in refusal(copy)


def test_sliding_windows_only_when_they_never_slide(tmp_path: Path) -> None:
    config = MistralConfig(
        **SIZE, **IDS, num_key_value_heads=2, intermediate_size=96, max_position_embeddings=256, sliding_window=64
    )
    folder = built(config, tmp_path)
    reason = refusal(folder)
    assert "sliding_attention" in reason
    assert "max_model_len to 64 or less" in reason
    engine = create_engine()
    card = engine.load(LoadParams(model=str(folder), options={"device": "cpu", "max_model_len": 64}), lambda *_: None)
    assert card.max_model_len == 64
    engine.close()


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (lambda: T5Config(vocab_size=VOCABULARY), "'t5'"),
        (
            lambda: MambaConfig(vocab_size=VOCABULARY, hidden_size=32, num_hidden_layers=2, state_size=4),
            "context length",
        ),
        (
            lambda: Qwen3NextConfig(vocab_size=VOCABULARY, num_hidden_layers=4, max_position_embeddings=64),
            "linear_attention",
        ),
    ],
)
def test_other_kinds_of_models_are_refused_by_their_configuration(
    config: Callable[[], Any], words: str, copy: Path
) -> None:
    config().save_pretrained(copy)
    assert words in refusal(copy)


def test_a_state_space_model_is_refused(tmp_path: Path) -> None:
    config = MambaConfig(vocab_size=VOCABULARY, hidden_size=32, num_hidden_layers=2, state_size=4)
    assert "full attention" in refusal(built(config, tmp_path), max_model_len=64, attn_implementation="eager")


@pytest.mark.parametrize(
    "config",
    [
        lambda: BloomConfig(vocab_size=VOCABULARY, hidden_size=48, n_layer=2, n_head=4, seq_length=64),
        lambda: BertConfig(**SIZE, intermediate_size=96, max_position_embeddings=64, is_decoder=False),
    ],
)
def test_models_that_would_answer_wrongly_are_found_out(config: Callable[[], Any], tmp_path: Path) -> None:
    """ALiBi positions, and attention in both directions: nothing in the configuration tells; the self-check does."""
    reason = refusal(built(config(), tmp_path), attn_implementation="eager")
    assert "batch" in reason


def test_the_generation_config_of_the_model_is_what_it_wants(copy: Path) -> None:
    engine = create_engine()
    params = LoadParams(model=str(copy), options={"device": "cpu"})
    values = {"temperature": 0.6, "top_p": 0.9, "top_k": 20, "repetition_penalty": 1.1, "max_new_tokens": 5}
    (copy / "generation_config.json").write_text(json.dumps({"do_sample": True, **values}))
    wanted = engine.load(params, lambda *_: None).sampling_defaults
    assert (wanted.temperature, wanted.top_p, wanted.top_k, wanted.min_p) == (0.6, 0.9, 20, 0.0)
    assert (wanted.repetition_penalty, wanted.max_tokens, wanted.max_tokens_limit) == (1.1, 5, None)
    limited = request(some_tokens(4, 1), max_tokens=None, default_max_tokens=wanted.max_tokens)
    assert len(generate(engine, limited)[0].only.tokens) == 5
    engine.close()
    (copy / "generation_config.json").write_text(json.dumps({"top_p": 7}))
    assert "`top_p` of the generation config but received 7" in refusal(copy)


def test_max_model_len(copy: Path) -> None:
    assert "over the 512 tokens" in refusal(copy, max_model_len=513)
    reason = refusal(copy, max_model_len=512, kv_cache_memory_bytes=2 * 2 * 2 * 16 * 4 * 300)
    assert "max_model_len to 127 or less" in reason
    assert "set max_model_len" in refusal(copy, kv_cache_memory_bytes=1000)


def test_the_models_own_length_is_cut_to_the_memory(load: Load, caplog: pytest.LogCaptureFixture) -> None:
    engine = load(kv_cache_memory_bytes=2 * 2 * 2 * 16 * 4 * 300)
    [outcome] = generate(engine, request(some_tokens(120, 1), max_tokens=None))
    assert len(outcome.only.tokens) == 7
    assert "max_model_len is cut to 127" in caplog.text


@pytest.mark.parametrize("device", ["cuda", "cuda:3"])
def test_cuda_that_is_not_there(copy: Path, device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert f"device {device} was asked for" in refusal(copy, device=device)


def test_a_template_that_is_not_there(copy: Path) -> None:
    assert "neither a template nor a readable file" in refusal(copy, chat_template="no/such.jinja")


def test_options_are_checked_by_name_and_value(copy: Path) -> None:
    assert "did you mean `max_model_len`?" in refusal(copy, max_modle_len=5)
    assert "known are dtype" in refusal(copy, zzz=5)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("dtype", "float8"),
        ("device", "tpu"),
        ("device", "cuda:x"),
        ("max_model_len", 1),
        ("max_num_seqs", "many"),
        ("max_num_seqs", True),
        ("max_num_seqs", 2.5),
        ("trust_remote_code", "maybe"),
        ("gpu_memory_utilization", 1.5),
        ("seed", -1),
        ("revision", ""),
        ("attn_implementation", "flash_attention_2"),
    ],
)
def test_wrong_option_values(name: str, value: object) -> None:
    with pytest.raises(LoadError, match=f"`{name}`"):
        parse_options({name: value})


def test_options_as_text_and_with_hyphens() -> None:
    given = {"max-num-seqs": "4", "trust_remote_code": "true", "gpu-memory-utilization": "0.5", "seed": None}
    expected = EngineOptions(max_num_seqs=4, trust_remote_code=True, gpu_memory_utilization=0.5)
    assert parse_options(given) == expected


def test_free_memory_is_told() -> None:
    assert 1 << 20 < free_memory() < 1 << 50


def test_small_models_compute_with_one_thread_unless_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert [thread_count(None, 5_000_000), thread_count(None, 500_000_000), thread_count(3, 1)] == [1, None, 3]
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    assert thread_count(None, 5_000_000) is None
