"""``MultiLoraTransformersModel`` and ``vLLMSampler`` of twinkle-kit do all that they can. Arguments: url, demo model, name of the model.
Goes on with each line that it reads: ``killed`` after the ranks were, ``restarted URL`` after the server was. Prints what it heard as a
line of JSON for each part."""

from __future__ import annotations

import json
import sys
from typing import Any

from peft import LoraConfig
from requests import HTTPError
from twinkle_client import init_twinkle_client
from twinkle_client.http import get_session_id, http_post, set_base_url
from twinkle_client.model import MultiLoraTransformersModel
from twinkle_client.sampler import vLLMSampler

URL, _, NAME = sys.argv[1:]
BATCH = [
    {"input_ids": [1, 2, 3, 4], "labels": [2, 3, 4, -100]},
    {"input_ids": [1, 2], "labels": [2, -100]},
]
LORA = LoraConfig(target_modules="all-linear", r=8, lora_alpha=32, lora_dropout=0.05)


def refused(act: Any) -> str:
    try:
        act()
    except HTTPError as error:
        return str(error)
    raise AssertionError("it was not refused")


def say(part: str, **heard: Any) -> None:
    print(json.dumps({"part": part, **heard}), flush=True)


def trained(model: MultiLoraTransformersModel) -> dict[str, Any]:
    """Everything a step is made of, at once and in parts."""
    at_once = model.forward_backward(inputs=BATCH).result
    early = model.clip_grad_norm().result
    model.forward_backward(inputs=BATCH)
    model.clip_grad_and_step(max_grad_norm=0.5)
    forward = model.forward(inputs=BATCH).result
    loss = model.calculate_loss().result
    model.backward()
    model.forward_backward(inputs=BATCH)
    norm = model.clip_grad_norm(max_grad_norm=1.0, norm_type=2).result
    model.step()
    model.zero_grad()
    model.lr_step()
    only = model.forward_only(inputs=BATCH, disable_lora=True).result
    metrics = model.calculate_metric(is_training=True).result
    return {
        "loss": at_once["loss"],
        "logps": at_once["logps"],
        "early": early,
        "forward": [forward["loss"], forward["logps"] == at_once["logps"], loss],
        "norm": norm,
        "only": only["logps"] == at_once["logps"],
        "metrics": [metrics["loss"], metrics["learning rate"], metrics["iters"]],
        "evaluation": model.calculate_metric(is_training=False).result["loss"],
    }


def set_up(model: MultiLoraTransformersModel) -> None:
    model.add_adapter_to_model("default", LORA, gradient_accumulation_steps=2)
    model.set_template("Template", enable_thinking=False)
    model.set_processor("InputProcessor", padding_side="right")
    model.set_loss("CrossEntropyLoss")
    model.set_optimizer("AdamW", lr=0.5)
    model.set_lr_scheduler("StepLR", step_size=1, gamma=0.5)
    model.add_metric("DPOMetric", is_training=False)


def saves(model: MultiLoraTransformersModel) -> dict[str, Any]:
    saved = model.save("step 1/a", save_optimizer=True, consumed_train_samples=12)
    progress = model.resume_from_checkpoint(saved.twinkle_path)
    weights = model.resume_from_checkpoint(saved.twinkle_path, resume_only_model=True)
    model.load(saved.twinkle_path, load_optimizer=True)
    return {"path": saved.twinkle_path, "dir": saved.checkpoint_dir, "progress": progress, "weights": weights}


def sampled(model: MultiLoraTransformersModel) -> dict[str, Any]:
    sampler = vLLMSampler(model_id=f"ms://{NAME}")
    template = sampler.set_template("Template", model_id=NAME).status
    added = sampler.add_adapter_to_sampler("default", {"r": 8}).adapter_name
    first = model.save("s", is_sampler=True).twinkle_path
    path = model.save("s", is_sampler=True).twinkle_path
    talk = [{"messages": [{"role": "user", "content": "hi"}]}]
    params = {"max_tokens": 4, "num_samples": 2, "logprobs": 1}
    plain = sampler.sample([{"input_ids": [1, 2, 3]}], {"max_tokens": 4})
    (answer,) = sampler.sample(talk, params, adapter_uri=path)
    sequence = answer.sequences[0]
    continued = sampler.sample([sequence.new_input_feature], {"max_tokens": 2}, adapter_uri=path)
    trained_on = model.forward_backward(inputs=[sequence.new_input_feature]).result["loss"]
    stream = http_post(
        f"{sampler.server_url}/sample_stream", json_data={"inputs": talk, "sampling_params": {"max_tokens": 3}}
    )
    lines = [json.loads(line) for line in stream.text.splitlines()]
    return {
        "template": template,
        "added": added,
        "plain": [len(plain), len(plain[0].sequences[0].tokens), plain[0].sequences[0].new_input_feature["length"]],
        "answer": [len(answer.sequences), len(sequence.tokens), len(sequence.logprobs or []), sequence.stop_reason],
        "continued": len(continued[0].sequences[0].new_input_feature["input_ids"])
        - len(sequence.new_input_feature["input_ids"]),
        "trained_on": trained_on is not None,
        "lines": [lines[-1]["finish_reason"], "".join(line["delta"] for line in lines) != ""],
        "older": refused(lambda: sampler.sample(talk, adapter_uri=first)),
        "named": refused(lambda: sampler.sample(talk, adapter_name="default")),
        "patch": refused(lambda: sampler.apply_patch("X")),
    }


def refusals(model: MultiLoraTransformersModel, path: str) -> dict[str, str]:
    other = MultiLoraTransformersModel(model_id=NAME)
    other.adapter_name = "nobody"
    return {
        "loss": refused(lambda: model.set_loss("GRPOLos")),
        "batch": refused(lambda: model.forward_backward(inputs=[{"input_ids": [1], "labels": [1, 2]}])),
        "patch": refused(lambda: model.apply_patch("X")),
        "state": refused(model.get_state_dict),
        "hub": refused(lambda: model.upload_to_hub(path, "a/b")),
        "load": refused(lambda: model.load(path.replace("step_1_a", "none"))),
        "adapter": refused(lambda: other.step()),
        "model": refused(lambda: MultiLoraTransformersModel(model_id="none")),
        "lora": refused(lambda: other.add_adapter_to_model("x", LoraConfig(use_dora=True))),
    }


def next_line() -> list[str]:
    return sys.stdin.readline().split()


client = init_twinkle_client(base_url=URL, api_key="key", session_heartbeat_interval=1)
model = MultiLoraTransformersModel(model_id=f"ms://{NAME}")
set_up(model)
say("trained", **trained(model), configs=model.get_train_configs().result)
kept = saves(model)
say("saved", **kept)
say("sampled", **sampled(model))
say("refused", **refusals(model, kept["path"]))

assert next_line() == ["killed"]
lost = refused(lambda: model.forward_backward(inputs=BATCH))
set_up(model)
resumed = model.resume_from_checkpoint(kept["path"])
say("killed", lost=lost, resumed=resumed, loss=model.forward_backward(inputs=BATCH).result["loss"])

_, url = next_line()
set_base_url(f"{url}/api/v1")
model = MultiLoraTransformersModel(model_id=NAME)
model.adapter_name = "default"
configs = model.get_train_configs().result
lost = refused(lambda: model.forward_backward(inputs=BATCH))
model.add_adapter_to_model("default", LORA)
say(
    "restarted",
    configs=configs,
    lost=lost,
    resumed=model.resume_from_checkpoint(kept["path"]),
    session=get_session_id(),
)

assert next_line() == ["end"]
client.close()
