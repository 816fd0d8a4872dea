"""Random adapters that PEFT saves and runs, and the commands that load them into an engine."""

from __future__ import annotations

import copy
import json
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from hf_support import Outcome, take
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from torch import Tensor

from twinkle_worker.engines.base import Engine
from twinkle_worker.protocol import HttpParams, HttpPart

ATTENTION = ["q_proj", "k_proj", "v_proj", "o_proj"]
MLP = ["gate_proj", "up_proj", "down_proj"]
ALL = [*ATTENTION, *MLP, "lm_head"]
COMMANDS = 10_000
"""Stream of commands."""


def save_adapter(
    model: Any, folder: Path, rank: int = 4, targets: Sequence[str] = ALL, salt: int = 1, **options: Any
) -> Any:
    """Save a random adapter in ``folder``, as PEFT does; gives the PEFT model, which answers with it. ``model`` stays as it is."""
    torch.manual_seed(salt)
    config = LoraConfig(r=rank, target_modules=list(targets), **{"lora_alpha": 2 * rank, **options})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of tied embeddings, and of the copy of the head that PEFT saves along
        adapted: Any = get_peft_model(copy.deepcopy(model), config)
        with torch.no_grad():
            for name, weight in adapted.named_parameters():
                if ".lora_B." in name:
                    weight.normal_(0, 0.15)
        adapted.save_pretrained(folder)
    assert isinstance(adapted, PeftModel)
    return adapted.eval()


def change_files(folder: Path, tensors: dict[str, Tensor | None] | None = None, **config: Any) -> Path:
    """Replace tensors (None: take away; by the end of their names) and values of the configuration of a saved adapter."""
    weights = load_file(folder / "adapter_model.safetensors")
    for ending, tensor in (tensors or {}).items():
        [name] = [name for name in weights if name.endswith(ending)] or [ending]
        weights.pop(name, None)
        if tensor is not None:
            weights[name] = tensor
    save_file(weights, folder / "adapter_model.safetensors")
    path = folder / "adapter_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **config}))
    return folder


def command(path: str, body: Any) -> HttpParams:
    """A request for one of the two routes; a text is sent as it is."""
    text = body if isinstance(body, str) else json.dumps(body)
    return HttpParams(request_id="test", method="POST", path=path, query="", headers=[], body=text)


def ask(
    engine: Engine, path: str, body: Any, outcomes: dict[int, Outcome] | None = None, stream: int = COMMANDS
) -> tuple[int, str]:
    """Status and text of the answer; what other streams gain meanwhile goes to ``outcomes``."""
    engine.add_http(stream, command(path, body))
    parts: list[HttpPart] = []
    for _ in range(100_000):
        ended = False
        for at, item in engine.step():
            if at != stream:
                take(outcomes if outcomes is not None else {}, [(at, item)])
            elif isinstance(item, HttpPart):
                parts.append(item)
            else:
                assert item is None, item
                ended = True
        if ended:
            [part] = parts
            assert part.status is not None
            return part.status, part.body.decode()
    raise AssertionError("no answer")


def load_adapter(
    engine: Engine, name: str, folder: Path, outcomes: dict[int, Outcome] | None = None, **more: Any
) -> None:
    """Load and expect that it comes off."""
    status, text = ask(engine, "/v1/load_lora_adapter", {"lora_name": name, "lora_path": str(folder), **more}, outcomes)
    assert status == 200, text


def unload_adapter(engine: Engine, name: str, outcomes: dict[int, Outcome] | None = None) -> None:
    """Unload and expect that it comes off."""
    status, text = ask(engine, "/v1/unload_lora_adapter", {"lora_name": name}, outcomes)
    assert status == 200, text


def refusal_of_load(engine: Engine, folder: Path | str, **more: Any) -> str:
    """The message of a load that must be refused with 400."""
    body = {"lora_name": "new", "lora_path": str(folder), **more}
    status, text = ask(engine, "/v1/load_lora_adapter", body)
    error = json.loads(text)["error"]
    assert (status, error["code"], error["type"]) == (400, 400, "BadRequestError"), text
    return error["message"]


@torch.no_grad()
def scores(model: Any, tokens: Sequence[int]) -> Tensor:
    """Log-probabilities [tokens, vocabulary] after each of ``tokens``, by a plain forward."""
    return model(input_ids=torch.tensor([list(tokens)])).logits[0].float().log_softmax(-1)


def greedy(model: Any, tokens: Sequence[int], count: int) -> tuple[list[int], list[float]]:
    """The tokens that a plain model says, and their log-probabilities."""
    made, found = list(tokens), []
    for _ in range(count):
        last = scores(model, made)[-1]
        made.append(int(last.argmax()))
        found.append(float(last.max()))
    return made[len(tokens) :], found
