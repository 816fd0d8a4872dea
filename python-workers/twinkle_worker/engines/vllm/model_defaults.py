"""What vLLM's own routes take for values that a request leaves out. Reads vLLM's configuration only."""

from __future__ import annotations

from typing import Any

from ...protocol import SamplingDefaults
from ..sampling_defaults import sampling_defaults


def model_defaults(model_config: Any) -> SamplingDefaults:
    """Of the model's generation_config.json, ``--generation-config`` and ``--override-generation-config``. Raises LoadError.

    A limit of new tokens binds every request only where the user gave it, by a folder or by an override; the model's own is a default.
    """
    values: dict[str, Any] = dict(model_config.get_diff_sampling_param())
    wanted = values.pop("max_tokens", None)
    own = model_config.generation_config in ("auto", "vllm")
    limit = (model_config.override_generation_config or {}).get("max_new_tokens") if own else wanted
    return sampling_defaults({**values, "max_new_tokens": wanted}, limit)
