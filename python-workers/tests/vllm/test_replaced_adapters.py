"""Adapters that are replaced while they are used, and those of the training service: whole or refused, and named to nobody."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from gang_support import Nursery, TestGang, executor_of, make_engine
from lora_support import write_adapter
from vllm_http import Client
from vllm_support import MODEL, loaded

PROMPT = "The sun"
RANK = 4
HIDDEN = "tinker://a:train:0/handed_over/followed"


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    engine = loaded(enable_lora=True, max_lora_rank=8)
    yield Client(engine)
    engine.close()


def load(client: Client, name: str, folder: Path | str, **more: Any) -> Any:
    return client.post("/v1/load_lora_adapter", {"lora_name": name, "lora_path": str(folder), **more})


def says(client: Client, adapter: str | None, prompt: str = PROMPT) -> str:
    return client.finish(client.generate(prompt, 12, ignore_eos=True, adapter=adapter)[1]).text


def test_what_runs_goes_on_with_replaced_weights_which_are_read_once(client: Client, tmp_path: Path) -> None:
    first, second = (Path(write_adapter(MODEL, tmp_path / str(seed), seed, RANK)) for seed in (1, 2))
    assert load(client, "expected", second).status == 200
    expected = says(client, "expected")
    assert load(client, HIDDEN, first).status == 200
    before = says(client, HIDDEN)
    running = client.generate(PROMPT, 300, ignore_eos=True, adapter=HIDDEN)[1]
    while len(running.parts) < 3:
        client.turn()
    assert load(client, HIDDEN, second, load_inplace=True).status == 200
    shutil.rmtree(first)
    # There is room for one: this one takes it, and what runs has its own read again, from where it is now.
    assert load(client, "other", write_adapter(MODEL, tmp_path / "other", 3, RANK)).status == 200
    done = len(running.parts)
    while len(running.parts) == done:
        client.turn()
    second.rename(tmp_path / "away")
    assert says(client, HIDDEN) == expected != before
    assert not running.ended
    client.finish(running)
    assert sum(len(part.token_ids) for part in running.parts) == 300


def test_prefixes_of_replaced_weights_are_not_used(
    client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from vllm.v1.core import kv_cache_utils

    from twinkle_worker.engines.vllm.compat import tell_replaced_adapters_apart

    # As vLLM 0.26 has it.
    monkeypatch.setattr(
        kv_cache_utils,
        "_gen_lora_extra_hash_keys",
        lambda request: [] if request.lora_request is None else [request.lora_request.lora_name],
    )
    tell_replaced_adapters_apart()
    long = "Once upon a time there was a fox. " * 20
    folders = [write_adapter(MODEL, tmp_path / str(seed), seed, RANK) for seed in (4, 5)]
    assert load(client, "prefix", folders[0]).status == 200
    before = says(client, "prefix", long)
    assert says(client, "prefix", long) == before
    assert load(client, "prefix", folders[1], load_inplace=True).status == 200
    assert load(client, "anew", folders[1]).status == 200
    assert says(client, "prefix", long) == says(client, "anew", long) != before


def test_metrics_name_adapters_of_requests_and_no_others(client: Client, tmp_path: Path) -> None:
    for at, name in enumerate((f"{HIDDEN}-2", "plain")):
        assert load(client, name, write_adapter(MODEL, tmp_path / str(at), at, RANK)).status == 200
        says(client, name)
    page = client.get("/metrics").body.decode()
    assert 'running_lora_adapters="plain"' in page
    assert "tinker:" not in page


def test_what_was_trained_is_applied_whole_or_refused(tmp_path: Path) -> None:
    engine = loaded(enable_lora=True, max_lora_rank=8, lora_target_modules=["o_proj"])
    client = Client(engine)
    folder = write_adapter(MODEL, tmp_path / "head", 1, RANK, head=True)
    refused = load(client, HIDDEN, folder)
    assert refused.status == 500
    assert "leave out what was trained of lm_head: --lora-target-modules is o_proj" in refused.json["error"]["message"]
    assert "train_unembed=False" in refused.json["error"]["message"]
    assert load(client, "by-hand", folder).status == 200
    assert load(client, HIDDEN, write_adapter(MODEL, tmp_path / "attention", 1, RANK)).status == 200
    engine.close()


def test_a_model_without_adapters_of_its_head_says_what_to_do(tmp_path: Path) -> None:
    model = shutil.copytree(MODEL, tmp_path / "model", ignore=shutil.ignore_patterns("*.safetensors"))
    config = json.loads((model / "config.json").read_text(encoding="utf-8"))
    config.update(architectures=["Qwen2ForCausalLM"], model_type="qwen2")
    (model / "config.json").write_text(json.dumps(config), encoding="utf-8")
    engine = loaded(str(model), enable_lora=True, max_lora_rank=8, load_format="dummy")
    message = load(Client(engine), HIDDEN, write_adapter(str(model), tmp_path / "head", 1, RANK, head=True)).json[
        "error"
    ]["message"]
    assert "but received ['lm_head" in message
    assert "create the run with train_unembed=False" in message
    engine.close()


@pytest.mark.parametrize("sizes", [{"tensor_parallel_size": 2}, {"pipeline_parallel_size": 2}], ids=["TP2", "PP2"])
def test_every_rank_has_the_new_weights_and_reads_them_once(
    nursery: Nursery, tmp_path: Path, sizes: dict[str, int]
) -> None:
    from vllm import SamplingParams
    from vllm.lora.request import LoRARequest

    first, second = (Path(write_adapter(MODEL, tmp_path / str(seed), seed, RANK, head=True)) for seed in (1, 2))

    def tells(engine: Any, adapter: LoRARequest) -> list[int]:
        wanted = SamplingParams(temperature=0, max_tokens=8, ignore_eos=True)
        engine.add_request("r", PROMPT, wanted, lora_request=adapter)
        while True:
            done = [output for output in engine.step() if output.finished]
            if done:
                return list(done[0].outputs[0].token_ids)

    with TestGang(nursery, 2) as gang:
        engine = make_engine(gang, enable_lora=True, max_lora_rank=8, **sizes)
        expected = tells(engine, LoRARequest("expected", 1, str(second)))
        before = tells(engine, LoRARequest(HIDDEN, 2, str(first)))
        replaced = LoRARequest(HIDDEN, 2, str(second), load_inplace=True)
        assert engine.add_lora(replaced)
        second.rename(tmp_path / "away")
        assert tells(engine, replaced) == expected != before
        executor_of(engine).check_health()
