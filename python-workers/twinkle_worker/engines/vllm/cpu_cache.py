"""How large the KV cache of a rank on CPUs is where nobody says: vLLM would take most of the machine's memory, and touch it. Pure."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

_TOKENS = 32_768
"""As many as one long conversation or a few dozen short ones."""
_LEAST, _MOST = 64 << 20, 4 << 30
_UNKNOWN = 1 << 30
_ELEMENT_BYTES = 2


def default_cache_bytes(model: str, ranks: int) -> int:
    """Bytes for one rank of ``ranks``: room for the model's context, or 32,768 tokens, within 64 MiB and 4 GiB."""
    try:
        config: dict[str, Any] = json.loads((Path(model).expanduser() / "config.json").read_text(encoding="utf-8"))
        config = config.get("text_config", config)
        heads = int(config["num_attention_heads"])
        width = int(config.get("head_dim") or config["hidden_size"] // heads)
        per_token = 2 * int(config["num_hidden_layers"]) * int(config.get("num_key_value_heads") or heads) * width
        context = int(config.get("max_position_embeddings") or 0)
    except (OSError, ValueError, KeyError, TypeError, ZeroDivisionError):
        return _UNKNOWN
    wanted = max(_TOKENS, context) * per_token * _ELEMENT_BYTES // max(1, ranks)
    return min(max(wanted, _LEAST), _MOST)
