"""What users write, before anything runs."""

from __future__ import annotations

import subprocess
import sys
from enum import StrEnum
from pathlib import Path

import pytest

from twinkle_node import serve
from twinkle_node.serve.config import AutoscalingConfig
from twinkle_node.serve.llm import LLMConfig, LLMServingArgs, LoraConfig, ModelLoadingConfig, build_openai_app


class Kind(StrEnum):
    L4 = "L4"


def test_objects_and_mappings_mean_the_same() -> None:
    objects = LLMConfig(
        model_loading_config=ModelLoadingConfig(model_id="m", model_source=Path("/models/m")),
        deployment_config={"autoscaling_config": AutoscalingConfig(min_replicas=1, max_replicas=2)},
        lora_config=LoraConfig(max_num_adapters_per_replica=4),
        accelerator_type=Kind.L4,
    )
    mappings = LLMConfig(
        model_loading_config={"model_id": "m", "model_source": "/models/m"},
        deployment_config={"autoscaling_config": {"min_replicas": 1, "max_replicas": 2}},
        lora_config={"max_num_adapters_per_replica": 4},
        accelerator_type="L4",
    )
    assert objects.model_loading_config.model_id == "m"
    built = build_openai_app(LLMServingArgs(llm_configs=[objects]))
    assert built == build_openai_app({"llm_configs": [mappings]}) == build_openai_app([mappings])
    assert built.config["llm_configs"][0]["accelerator_type"] == "L4"
    with pytest.raises(AttributeError, match="was not set"):
        _ = objects.engine_kwargs


def test_what_cannot_be_written_down_says_where() -> None:
    config = LLMConfig(model_loading_config={"model_id": "m"}, engine_kwargs={"a": [1, object()]})
    with pytest.raises(TypeError, match=r"llm_configs\[0\]\.engine_kwargs\.a\[1\]: expected plain values"):
        build_openai_app([config])
    with pytest.raises(TypeError, match="unexpected keyword argument 'engine_kwarg'"):
        LLMConfig(model_loading_config={"model_id": "m"}, engine_kwarg={})  # type: ignore[call-arg]
    with pytest.raises(ValueError, match="and not ingress_cls_config"):
        build_openai_app({"llm_configs": [config], "ingress_cls_config": {}})
    with pytest.raises(ValueError, match="expected a list of LLMConfig"):
        build_openai_app({})
    with pytest.raises(TypeError, match="expected what build_openai_app returns"):
        serve.run([config])  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="expected / for route_prefix"):
        serve.run(build_openai_app([LLMConfig(model_loading_config={"model_id": "m"})]), route_prefix="/llm")
    with pytest.raises(ValueError, match="takes host and port and not root_path"):
        serve.start(http_options={"root_path": "/x"})


def test_importing_it_imports_no_engine() -> None:
    code = (
        "import sys; import twinkle_node.serve as serve; from twinkle_node.serve.llm import LLMConfig;"
        "bad = {'torch', 'numpy', 'zmq', 'msgspec', 'vllm', 'twinkle_worker'} & set(sys.modules); assert not bad, bad"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])
