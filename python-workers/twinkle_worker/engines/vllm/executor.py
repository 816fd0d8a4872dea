"""`LinkExecutor`: vLLM's executor interface over ranks that Node started. Knows the order of a start; links and answers are the gang's."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import Any

import cloudpickle
from vllm.platforms import current_platform
from vllm.v1.executor.abstract import Executor

from ...protocol import LaunchSpec
from ..base import LoadError, Progress
from .frames import FINISH_LOAD, FORGET_NAMES, INIT_WORKER, PROFILE_RUN
from .gang import Call, Gang, OnWait

_bound: list[Gang] = []
"""The gang of the executor that is made next: vLLM makes it by itself, of a class that has to survive pickling with its configuration."""


def bind_executor(launch: LaunchSpec, progress: Progress) -> type[Executor]:
    """The executor class for the engine process of ``launch``. vLLM may make one executor of it, which takes over the links.

    progress: called about once a second while a rank works on a call of the start.
    """

    def waiting(method: str, ranks: list[int], seconds: float) -> None:
        progress(method.lstrip("@"), 0.0, f"rank {', '.join(map(str, ranks))}, {seconds:.0f} s")

    bind_gang(Gang(launch.link_fds, waiting))
    return LinkExecutor


def bind_gang(gang: Gang) -> None:
    """Have the next LinkExecutor drive this gang."""
    _bound[:] = [gang]


class LinkExecutor(Executor):
    """Every call goes to all ranks in the same order. See vLLM's Executor for what the methods do."""

    supports_pp = True

    @classmethod
    def supports_async_scheduling(cls) -> bool:
        return True

    def _init_executor(self) -> None:
        if not _bound:
            raise LoadError("this executor has no ranks: it works only in the engine process of a gang")
        self.gang = _bound.pop()
        parallel = self.parallel_config
        if parallel.world_size != len(self.gang):
            raise LoadError(
                f"expected tensor, pipeline and context parallel sizes with a product of {len(self.gang)}, the ranks of this gang, but"
                f" received {parallel.world_size}; set `tensor_parallel` and `pipeline_parallel` of the model, not engine options"
            )
        self.output_rank = parallel.world_size - parallel.tensor_parallel_size * parallel.prefill_context_parallel_size
        # cloudpickle: the configuration of a model with code of its own has classes that only this process can import.
        config = cloudpickle.dumps(self.vllm_config, protocol=pickle.HIGHEST_PROTOCOL)
        for method, args in ((INIT_WORKER, (config,)), ("init_device", ()), (FORGET_NAMES, ()), ("load_model", ())):
            self.gang.call(method, args).result()
        self.gang.call(FINISH_LOAD).result()

    def compile_or_warm_up_model(self) -> None:
        super().compile_or_warm_up_model()
        if current_platform.is_cpu() and self.parallel_config.pipeline_parallel_size > 1:
            # Without warm-up the first batch of a later stage finds no buffers for what the stage before sends.
            self.gang.call(PROFILE_RUN).result()

    def finish_start(self, on_wait: OnWait | None = None) -> None:
        """The engine is complete: the ranks report that they are loaded, and serve.

        on_wait: called about once a second while a step or another call is waited for.
        """
        self.gang.started()
        self.gang.on_wait = on_wait

    def collective_rpc(  # type: ignore[override]
        self,
        method: str | Callable[..., Any],
        timeout: float | None = None,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
        non_block: bool = False,
        unique_reply_rank: int | None = None,
        aggregators: tuple[Any, ...] = (),
    ) -> Any:
        """Answers of all ranks in rank order; the answer of ``unique_reply_rank`` alone if given.

        aggregators: of outputs of KV and encoder-cache connectors: all ranks answer then, and they merge the answers into that rank's.
        Raises RankFailed, RankLost, TimeoutError after ``timeout`` seconds.
        """
        sent = method if isinstance(method, str) else cloudpickle.dumps(method, protocol=pickle.HIGHEST_PROTOCOL)
        only = unique_reply_rank
        call: Call
        if aggregators:
            merge = partial(_merge, aggregators, only or 0)
            call = self.gang.call(sent, args, kwargs, None, merge, timeout)
        elif only is not None:
            call = self.gang.call(sent, args, kwargs, (only,), _single, timeout)
        else:
            call = self.gang.call(sent, args, kwargs, None, list, timeout)
        return call if non_block else call.result()

    def execute_model(self, scheduler_output: Any, non_block: bool = False) -> Any:
        return self._step("execute_model", scheduler_output, non_block)

    def sample_tokens(self, grammar_output: Any, non_block: bool = False) -> Any:
        return self._step("sample_tokens", grammar_output, non_block)

    def _step(self, method: str, argument: Any, non_block: bool) -> Any | Future[Any]:
        """Without a deadline of its own: Node bounds steps, and sees which rank hangs; from here every silent rank looks alike."""
        known = (self.kv_output_aggregator, getattr(self, "ec_output_aggregator", None))
        return self.collective_rpc(
            method,
            args=(argument,),
            non_block=non_block,
            unique_reply_rank=self.output_rank,
            aggregators=tuple(aggregator for aggregator in known if aggregator is not None),
        )

    def execute_dummy_batch(self) -> None:
        self._from_output_rank("execute_dummy_batch")

    def take_draft_token_ids(self) -> Any:
        return self._from_output_rank("take_draft_token_ids")

    def _from_output_rank(self, method: str) -> Any:
        return self.collective_rpc(method, unique_reply_rank=self.output_rank)

    def check_health(self) -> None:
        """Raises RankLost. Whether a rank hangs is for Node to judge, by its beats."""
        self.gang.check()

    def register_failure_callback(self, callback: Callable[[], None]) -> None:
        """Have ``callback`` called when a rank is lost; at once if one is."""
        if self.gang.lost is not None:
            callback()
        else:
            self.gang.on_lost = callback

    def shutdown(self) -> None:
        """Let the ranks go. They end by Node's word, not by ours. May be called twice, and after a failed start."""
        gang = getattr(self, "gang", None)
        if gang is not None:
            gang.close()


def _single(answers: list[Any]) -> Any:
    return answers[0]


def _merge(aggregators: tuple[Any, ...], rank: int, answers: list[Any]) -> Any:
    """Each aggregator adds to the answer of ``rank`` in place and returns it."""
    merged = answers[rank]
    for aggregator in aggregators:
        merged = aggregator.aggregate(answers, output_rank=rank)
    return merged
