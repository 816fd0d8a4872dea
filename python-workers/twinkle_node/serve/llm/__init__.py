"""Models to serve, by the names of ``ray.serve.llm``::

from twinkle_node import serve
from twinkle_node.serve.llm import LLMConfig, build_openai_app

config = LLMConfig(model_loading_config=dict(model_id="qwen", model_source="Qwen/Qwen3-0.6B"))
serve.run(build_openai_app({"llm_configs": [config]}), blocking=True)
"""

from .build import LLMServingArgs, build_openai_app
from .llm_config import LLMConfig, LoraConfig, ModelLoadingConfig

__all__ = ["LLMConfig", "LLMServingArgs", "LoraConfig", "ModelLoadingConfig", "build_openai_app"]
