"""One model to serve: what Ray's ``LLMConfig`` holds. The server checks it, with the place of what is wrong."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..config import Settings


class ModelLoadingConfig(Settings):
    """model_id (the name that clients use), model_source (folder or hub id; none: model_id), tokenizer_source."""


class LoraConfig(Settings):
    """dynamic_lora_loading_path, max_num_adapters_per_replica, download_timeout_s, max_download_tries."""


class LLMConfig(Settings):
    """A model, its engine, its shape, its replicas and its place. What is not given is as the server decides."""

    def __init__(
        self,
        *,
        model_loading_config: Mapping[str, Any],
        llm_engine: str | None = None,
        engine_kwargs: Mapping[str, Any] | None = None,
        accelerator_type: str | None = None,
        placement_group_config: Mapping[str, Any] | None = None,
        deployment_config: Mapping[str, Any] | None = None,
        lora_config: Mapping[str, Any] | None = None,
        runtime_env: Mapping[str, Any] | None = None,
    ) -> None:
        """
        model_loading_config: ``{"model_id": …, "model_source": …}``
        llm_engine: ``vLLM`` (default), ``transformers`` or ``mock``
        engine_kwargs: arguments of the engine by its own names
        accelerator_type: such as ``L4``, ``H100``, ``Ascend910B4``
        placement_group_config: ``{"bundles": […], "strategy": …}`` or ``{"bundle_per_worker": …}``
        deployment_config: num_replicas, autoscaling_config, max_ongoing_requests, ray_actor_options, …
        lora_config: adapters that load on first use
        runtime_env: ``{"env_vars": {…}}``
        """
        given = {
            "model_loading_config": model_loading_config,
            "llm_engine": llm_engine,
            "engine_kwargs": engine_kwargs,
            "accelerator_type": accelerator_type,
            "placement_group_config": placement_group_config,
            "deployment_config": deployment_config,
            "lora_config": lora_config,
            "runtime_env": runtime_env,
        }
        super().__init__({name: value for name, value in given.items() if value is not None})
