"""vLLM's manager of a rank's adapters, mended: replaced weights are all requests', and are read once; what would be left out is said.

Knows nothing of routes or of the engine; the same for 0.26 and 0.32.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain
from typing import Any

import msgspec
from vllm.lora.request import LoRARequest
from vllm.lora.worker_manager import LRUCacheWorkerLoRAManager
from vllm.model_executor.models.utils import PPMissingLayer

from .hidden_names import is_hidden

_HEAD = "lm_head"
_HEAD_ADVICE = (
    "; this server samples with no adapter of the model's output layer (lm_head):"
    " train without it (Tinker: create the run with train_unembed=False)"
)


class RankAdapters(LRUCacheWorkerLoRAManager):
    """Requests bring the adapter that they began with, and vLLM loads it by that in every step in which it is not there.

    Of an adapter that was replaced since, that is the folder of before: its weights would come back, or, where it is gone, the engine would
    end. And what replaced it says ``load_inplace``, by which vLLM reads the folder again in each step.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._replaced: dict[int, LoRARequest] = {}

    def add_adapter(self, lora_request: LoRARequest) -> bool:
        loaded = super().add_adapter(lora_request)
        if lora_request.load_inplace:
            self._replaced[lora_request.lora_int_id] = msgspec.structs.replace(lora_request, load_inplace=False)
        return loaded

    def _apply_adapters(self, lora_requests: Iterable[LoRARequest | None]) -> None:
        """For a step."""
        current = {self._replaced.get(each.lora_int_id, each) for each in lora_requests if each is not None}
        super()._apply_adapters(current)

    def _load_adapter(self, lora_request: LoRARequest) -> Any:
        try:
            lora = super()._load_adapter(lora_request)
        except ValueError as error:
            if _HEAD in str(error) and _HEAD not in self._adapter_manager.supported_lora_modules:
                raise ValueError(f"{str(error).rstrip('.')}{_HEAD_ADVICE}") from error
            raise
        # Whoever loads one by hand may want `--lora-target-modules` to leave a part out; who trains must sample from what was trained.
        if is_hidden(lora_request.lora_name):
            self._check_whole(lora)
        return lora

    def _check_whole(self, lora: Any) -> None:
        manager = self._adapter_manager
        held = {*manager.modules, *chain.from_iterable(manager.packed_modules.values())}
        # Experts go by names of their own.
        names = (name for name in lora.loras if ".experts" not in name)
        left_out = [name for name in names if name not in held and not _on_another_stage(manager.model, name)]
        if not left_out:
            return
        more = f" and {len(left_out) - 3} more" if len(left_out) > 3 else ""
        wanted = self.lora_config.target_modules
        why = "vLLM has adapters for none of them" if wanted is None else f"--lora-target-modules is {' '.join(wanted)}"
        head = _HEAD_ADVICE if any(name.endswith(_HEAD) for name in left_out) else ""
        raise ValueError(f"vLLM would leave out what was trained of {', '.join(left_out[:3])}{more}: {why}{head}")


def _on_another_stage(model: Any, name: str) -> bool:
    """Whether a module, or what it would be in, belongs to another stage of the pipeline."""
    module = model
    for part in name.split("."):
        module = getattr(module, part, None)
        if module is None or isinstance(module, PPMissingLayer):
            break
    return isinstance(module, PPMissingLayer)


def mend_adapter_manager() -> None:
    """Have models that are loaded from now on hold adapters in RankAdapters; any number of times, on any platform."""
    from vllm.v1.worker import lora_model_runner_mixin

    lora_model_runner_mixin.LRUCacheWorkerLoRAManager = RankAdapters  # pyright: ignore[reportPrivateImportUsage]
