"""vLLM's EngineCore in this process, behind the asynchronous interface that AsyncLLM expects of a core in another one.

Everything runs on one thread: whoever owns the core steps it, and a coroutine that asks something is answered before it yields.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from types import SimpleNamespace
from typing import Any

from vllm.v1.core.sched.interface import PauseState
from vllm.v1.engine import EngineCoreOutput, EngineCoreOutputs, EngineCoreRequest, FinishReason
from vllm.v1.engine.core import EngineCore
from vllm.v1.request import RequestStatus

from .compat import finish_pause


class OwnCore(EngineCore):
    """EngineCore that can also pause with requests under way, and that tells what it ended by itself."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._ended: list[EngineCoreOutput] = []
        self._when_idle: list[Callable[[], None]] = []

    def has_work(self) -> bool:
        """Whether a step would advance anything, or there is something to tell."""
        return bool(self._ended or self._when_idle or self.batch_queue) or self.scheduler.has_requests()

    def advance(self) -> tuple[EngineCoreOutputs | None, bool]:
        """One step: what it brought, and whether the model ran."""
        if self._ended:
            ended, self._ended = self._ended, []
            return EngineCoreOutputs(outputs=ended, finished_requests={output.request_id for output in ended}), True
        if not self.scheduler.has_requests() and not self.batch_queue:
            waiting, self._when_idle = self._when_idle, []
            for act in waiting:
                act()
            return None, True
        outputs, executed = self.step_fn()
        self.post_step(executed)
        return (outputs or {}).get(0), executed

    def pause_scheduler(self, mode: str = "abort", clear_cache: bool = True) -> Future[None] | None:
        """As vLLM's, with ``wait`` and ``keep`` for a core that is stepped by hand: the future is done when nothing runs any more."""
        if mode not in ("abort", "wait", "keep"):
            raise ValueError(f"expected abort, wait or keep for `mode` but received {mode!r}")
        if mode == "abort":
            ended = self.scheduler.finish_requests(None, RequestStatus.FINISHED_ABORTED) or []
            for entry in ended:
                self.tell_end(entry[0] if isinstance(entry, tuple) else entry.request_id, FinishReason.ABORT)
        self.scheduler.set_pause_state(PauseState.PAUSED_ALL if mode == "keep" else PauseState.PAUSED_NEW)
        paused: Future[None] = Future()
        self._when_idle.append(partial(self._paused, paused, clear_cache))
        return paused

    def tell_end(self, request_id: str, reason: FinishReason) -> None:
        """Have the request end with the next step."""
        self._ended.append(EngineCoreOutput(request_id=request_id, new_token_ids=[], finish_reason=reason))

    def _paused(self, paused: Future[None], clear_cache: bool) -> None:
        try:
            finish_pause(self, clear_cache)
        except Exception as error:  # whoever asked for the pause hears it
            paused.set_exception(error)
        else:
            paused.set_result(None)


class CoreClient:
    """What AsyncLLM calls its engine core by. ``<name>_async`` is the core's own method ``<name>``."""

    def __init__(self, core: OwnCore) -> None:
        self.core = core
        self.engine_ranks_managed = [0]
        self.resources = SimpleNamespace(engine_dead=False)

    def add_request(self, request: EngineCoreRequest) -> None:
        """Hand a request to the scheduler."""
        prepared, wave = self.core.preprocess_add_request(request)
        self.core.add_request(prepared, wave)

    async def add_request_async(self, request: EngineCoreRequest) -> None:
        self.add_request(request)

    async def abort_requests_async(self, request_ids: list[str]) -> None:
        if request_ids:
            self.core.abort_requests(request_ids)

    async def get_output_async(self) -> EngineCoreOutputs:
        raise RuntimeError("outputs of this core are taken by whoever steps it")

    def dp_engines_running(self) -> bool:
        """Whether anything runs."""
        return self.core.has_work()

    def get_kv_event_sources(self) -> dict[int, Any]:
        return {}

    def shutdown(self, timeout: float | None = None) -> None:
        """Once: AsyncLLM calls it again when it is collected, and by then another engine may own the process's groups."""
        if self.resources.engine_dead:
            return
        self.resources.engine_dead = True
        self.core.shutdown()

    def __getattr__(self, name: str) -> Any:
        method_name = name.removesuffix("_async")
        if method_name == name:
            raise AttributeError(name)
        method = getattr(self.core, method_name)

        async def call(*args: Any, **kwargs: Any) -> Any:
            value = method(*args, **kwargs)
            return await asyncio.wrap_future(value) if isinstance(value, Future) else value

        return call
