"""Mends vLLM's adapters on CPUs: requests without one, in a batch with others that have one, must get none."""

from __future__ import annotations

from typing import Any


def mend_base_tokens() -> None:
    """To be called before a model is loaded; any number of times. Does nothing on other platforms.

    Tokens without an adapter have index -1. vLLM's kernels for GPUs skip them; those for CPUs (0.26 and 0.32, vllm-project/vllm#48421)
    read the last adapter's weights. What goes from the first product of an adapter into the second is zero for them now, and with it
    what the adapter adds.
    """
    from vllm.platforms import current_platform

    if not current_platform.is_cpu():
        return
    from vllm.lora.ops.torch_ops import lora_ops
    from vllm.lora.punica_wrapper import punica_cpu

    original: Any = lora_ops.bgmv_shrink
    if getattr(original, "skips_base_tokens", False):
        return

    def bgmv_shrink(inputs: Any, weights: Any, output: Any, indices: Any, scaling: float = 1.0) -> None:
        original(inputs, weights, output, indices, scaling)
        output.masked_fill_((indices < 0).unsqueeze(1), 0)

    bgmv_shrink.skips_base_tokens = True  # pyright: ignore[reportFunctionMemberAccess]
    # The variant for prompts finds it in its own module, the one for single tokens where it was imported.
    lora_ops.bgmv_shrink = bgmv_shrink
    punica_cpu.bgmv_shrink = bgmv_shrink  # pyright: ignore[reportPrivateImportUsage]
