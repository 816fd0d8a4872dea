"""`VllmRank`: a rank that the engine process drives over its link, behind base.Engine. Takes no requests. Imports vLLM in ``load`` only."""

from __future__ import annotations

import logging
import select
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from ...beat import Pulse
from ...protocol import (
    DetokenizeParams,
    DetokenizeResult,
    EngineStats,
    GenerateParams,
    HttpParams,
    LaunchSpec,
    LoadParams,
    ModelCard,
    TokenizeParams,
    TokenizeResult,
)
from ..base import LoadError, Progress, RequestError, StepItem, TensorViews, lacks_package
from ..sampling_defaults import sampling_defaults
from .frames import GOODBYE, STARTED
from .link import Frame, Link, LinkClosed, spin_s

if TYPE_CHECKING:
    from .commands import Commands

log = logging.getLogger(__name__)

EXIT_ENGINE_GONE = 4
"""Exit code of a rank whose engine process ended without a goodbye."""

_TICK_S = 1.0


class VllmRank:
    """See base.Engine for the contract, and base.LoopGuest: it waits for the engine and for Node at the same time."""

    def __init__(self, launch: LaunchSpec) -> None:
        self._launch = launch
        self._link = Link(launch.link_fds[0])
        self._commands: Commands | None = None
        self._segments: TensorViews | None = None
        self._serving = False
        self._spin_s = spin_s(launch.world_size + 1)
        self._pulse = Pulse()
        self._poll = select.poll()
        self._poll.register(self._link.fileno(), select.POLLIN)

    def attach(self, wake_fd: int, pulse: Pulse) -> None:
        """See base.LoopGuest."""
        self._poll.register(wake_fd, select.POLLIN)
        self._pulse = pulse

    def use_segments(self, segments: TensorViews) -> None:
        """See base.SegmentUser."""
        self._segments = segments

    def load(self, params: LoadParams, progress: Progress) -> ModelCard:
        """Carry out the engine's calls until it says that the start is over. Raises LoadError, LinkClosed."""
        progress("import", 0.0, "vllm")
        try:
            from .adapter_manager import mend_adapter_manager
            from .commands import Commands
            from .cpu_adapters import mend_base_tokens
            from .prompt_logprobs import mend_prompt_logprobs
            from .rank_weights import RankWeights
        except ImportError as error:
            raise lacks_package("vllm", error) from error
        mend_base_tokens()
        mend_adapter_manager()
        mend_prompt_logprobs()
        self._commands = Commands(self._launch, self._link, RankWeights(self._segments, self._pulse.turn))
        while True:
            frame = self._link.receive(_TICK_S)
            if frame is None:
                progress("wait", 0.0, "for the engine process")
            elif frame.kind == STARTED:
                break
            elif frame.kind == GOODBYE:
                raise LoadError("the engine process gave up the start")
            else:
                self._commands.run(frame, lambda phase: progress(phase, 0.0, ""))
        self._serving = True
        return self._card(params, self._commands)

    def has_work(self) -> bool:
        """As long as the engine may send calls."""
        return self._serving

    def wait_ms(self) -> float:
        """0: ``step`` does the waiting."""
        return 0.0

    def step(self) -> Iterable[StepItem]:
        """Carry out one call of the engine, or return because Node has sent something. SystemExit when the engine is gone."""
        try:
            frame = self._next()
            if frame is not None and frame.kind == GOODBYE:
                self._serving = False
            elif frame is not None and self._commands is not None:
                self._commands.run(frame, self._pulse.turn)
        except LinkClosed:
            log.error("the engine process is gone: rank %d ends", self._launch.rank)
            raise SystemExit(EXIT_ENGINE_GONE) from None
        return ()

    def _next(self) -> Frame | None:
        """The engine's next frame, or None when Node's socket has something first."""
        frame = self._link.take()
        if frame is None:
            self._pulse.turn("idle")
            if self._spin_s:
                frame = self._link.receive(self._spin_s, self._spin_s)
            if frame is None:
                self._poll.poll()
                frame = self._link.take()
        return frame

    def _card(self, params: LoadParams, commands: Commands) -> ModelCard:
        worker: Any = commands.worker
        config = worker.vllm_config
        model = getattr(worker.model_runner, "model", None)
        return ModelCard(
            engine="vllm",
            model=params.model,
            max_model_len=config.model_config.max_model_len,
            max_num_seqs=config.scheduler_config.max_num_seqs,
            vocab_size=config.model_config.get_vocab_size(),
            dtype=str(config.model_config.dtype).removeprefix("torch."),
            device=str(worker.device),
            parameters=sum(weight.numel() for weight in model.parameters()) if model is not None else 0,
            chat_template=False,
            routes=[],
            adapters=config.lora_config is not None,
            relay_chat=False,
            relay_completions=False,
            sampling_defaults=sampling_defaults({}),
            system_fingerprint=None,
        )

    def add(self, stream: int, params: GenerateParams) -> None:
        raise _no_requests()

    def add_http(self, stream: int, params: HttpParams) -> None:
        raise _no_requests()

    def abort(self, stream: int) -> None:
        """Nothing: a rank knows no streams."""

    def tokenize(self, params: TokenizeParams) -> TokenizeResult:
        raise _no_requests()

    def detokenize(self, params: DetokenizeParams) -> DetokenizeResult:
        raise _no_requests()

    def stats(self) -> EngineStats:
        """Steps of this rank; requests are the engine process's."""
        steps = self._commands.steps if self._commands is not None else 0
        return EngineStats(running=0, waiting=0, kv_usage=0.0, steps=steps, prompt_tokens=0, generation_tokens=0)

    def close(self) -> None:
        """Shut vLLM's worker down and close the link."""
        self._serving = False
        commands, self._commands = self._commands, None
        if commands is not None:
            commands.close()
        self._link.close()


def _no_requests() -> RequestError:
    return RequestError("PROTOCOL", "requests go to the engine process of the gang, not to a rank")
