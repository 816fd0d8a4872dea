"""AsyncLLM over a core in this process: what vLLM's own request handlers are given. Its outputs are published by whoever steps the core."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from vllm.v1.engine import EngineCoreOutputs
from vllm.v1.engine.async_llm import AsyncLLM
from vllm.v1.engine.core_client import EngineCoreClient
from vllm.v1.metrics.stats import IterationStats

from .compat import process_outputs
from .core import CoreClient, OwnCore
from .hidden_names import hide_in_stats


class InlineLLM(AsyncLLM):
    """An AsyncLLM without another process and without a task of its own."""

    @property
    def core(self) -> OwnCore:
        """The core, for stepping."""
        return self.engine_core.core  # type: ignore[attr-defined] -- a CoreClient

    def _run_output_handler(self) -> None:
        """Nothing runs behind our back: see ``publish``."""

    def publish(self, outputs: EngineCoreOutputs, taken: Callable[[Any, float, Any], bool]) -> list[Any]:
        """Detokenize, hand outputs to the queues of requests that have one, count; returns those of requests without.

        taken: ``taken(output, timestamp, statistics)`` is asked first, and tells whether it has done all that for this output.
        """
        stats = IterationStats() if self.log_stats and outputs.outputs else None
        outputs.outputs = [output for output in outputs.outputs if not taken(output, outputs.timestamp, stats)]
        processed = process_outputs(self.output_processor, outputs, stats)
        cache = self.renderer.mm_processor_cache
        if cache is not None:
            for output in outputs.outputs:
                for missing in getattr(output, "mm_cache_miss_hashes", None) or ():
                    cache.invalidate(missing)
        if processed.reqs_to_abort:
            self.core.abort_requests(processed.reqs_to_abort)
        self.output_processor.update_scheduler_stats(outputs.scheduler_stats)
        hide_in_stats(outputs.scheduler_stats)
        if self.logger_manager is not None:
            self.logger_manager.record(
                engine_idx=0,
                scheduler_stats=outputs.scheduler_stats,
                iteration_stats=stats,
                mm_cache_stats=self.renderer.stat_mm_cache(),
            )
        return processed.request_outputs


def make_inline_llm(vllm_config: Any, executor_class: Any, log_stats: bool, log_requests: bool) -> InlineLLM:
    """Build core and frontend. The only place where vLLM would start another process is handed our client instead."""

    def own_client(**kwargs: Any) -> CoreClient:
        return CoreClient(OwnCore(kwargs["vllm_config"], kwargs["executor_class"], kwargs["log_stats"]))

    with _replaced(EngineCoreClient, "make_async_mp_client", staticmethod(own_client)):
        return InlineLLM(
            vllm_config=vllm_config, executor_class=executor_class, log_stats=log_stats, log_requests=log_requests
        )


class _replaced:
    """An attribute of a class is another one for the time of a block."""

    def __init__(self, owner: type, name: str, value: Callable[..., Any] | staticmethod[..., Any]) -> None:
        self._owner, self._name, self._value = owner, name, value
        self._before = owner.__dict__[name]

    def __enter__(self) -> None:
        setattr(self._owner, self._name, self._value)

    def __exit__(self, *_: object) -> None:
        setattr(self._owner, self._name, self._before)
