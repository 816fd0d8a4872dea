"""A loaded vLLM: core, hot path and vLLM's own routes, stepped by one loop. Wiring; each part decides in its own file."""

from __future__ import annotations

from collections.abc import Callable

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
from ..base import Progress, StepItem
from .building import build
from .compat import default_template_kwargs
from .frames import FIND_WEIGHTS, WRITE_WEIGHTS
from .generation import Generations
from .logprob_items import LogprobTexts
from .prompting import PromptRenderer
from .rank_weights import RankWeights
from .relay import Relay
from .weight_update import WeightUpdates

_HANDLERS_WAIT_MS = 50.0
"""The longest step in which only handlers wait, for a thread or a timer, while the core has nothing to do."""

_CORE_WAIT_MS = 1.0
"""Between steps of a core none of whose requests can run yet: a grammar is being compiled, or blocks are on their way."""


class Serving:
    """What a VllmEngine is after its load."""

    def __init__(
        self,
        launch: LaunchSpec,
        params: LoadParams,
        progress: Progress,
        wake_fd: int | None,
        on_wait: Callable[[str, list[int], float], None],
        weights: RankWeights,
    ) -> None:
        """Load. Raises LoadError.

        wake_fd: see base.LoopGuest. on_wait: see gang.OnWait. weights: of the rank in this process, if it has one.
        """
        self._wake_fd = wake_fd
        built = build(launch, params, progress)
        self._llm = built.llm
        self._core = built.llm.core
        steps = (weights.find, weights.write) if launch.role == "whole" else (FIND_WEIGHTS, WRITE_WEIGHTS)
        self._weights = WeightUpdates(built.llm, *steps, lambda: self._relay.adapters)
        try:
            self._relay = Relay(built.llm, built.arguments, self._weights, progress)
        except Exception:
            built.llm.shutdown()
            raise
        model = built.llm.model_config
        self._prompts = PromptRenderer(
            built.llm.renderer,
            model,
            built.chat_template,
            default_template_kwargs(built.arguments),
            content_format=built.arguments.chat_template_content_format,
            trust_templates=bool(getattr(built.arguments, "trust_request_chat_template", False)),
        )
        tokenizer = built.llm.renderer.get_tokenizer()
        self._generations = Generations(
            self._llm, self._prompts, LogprobTexts(tokenizer), self._core.get_supported_tasks()
        )
        self._steps = 0
        self.card = ModelCard(
            engine="vllm",
            model=params.model,
            max_model_len=model.max_model_len,
            max_num_seqs=built.llm.vllm_config.scheduler_config.max_num_seqs,
            vocab_size=model.get_vocab_size(),
            dtype=str(model.dtype).removeprefix("torch."),
            device=str(built.llm.vllm_config.device_config.device),
            parameters=built.parameters,
            chat_template=bool(built.chat_template or getattr(tokenizer, "chat_template", None)),
            routes=self._relay.routes,
            adapters=built.llm.vllm_config.lora_config is not None,
            relay_chat=self._relay.formats_chats,
            relay_completions=self._relay.formats_completions,
            sampling_defaults=built.defaults,
            system_fingerprint=self._relay.fingerprint,
        )
        finish_start = getattr(self._core.model_executor, "finish_start", None)
        if finish_start is not None:
            finish_start(on_wait)

    def add(self, stream: int, params: GenerateParams) -> None:
        adapter = None if params.adapter is None else self._relay.adapter(params.adapter)
        self._generations.add(stream, params, adapter)

    def add_http(self, stream: int, params: HttpParams) -> None:
        self._relay.add(stream, params)

    def abort(self, stream: int) -> None:
        if not self._generations.abort(stream):
            self._relay.abort(stream)

    def has_work(self) -> bool:
        return self._core.has_work() or self._relay.has_work()

    def step(self) -> list[StepItem]:
        """One step of the core, and a turn of the handlers; where neither can go on, a short wait until one can or Node has a word."""
        items: list[StepItem] = []
        wait_ms = _HANDLERS_WAIT_MS
        if self._core.has_work():
            outputs, executed = self._core.advance()
            self._steps += 1
            if outputs is not None:
                take_middle = self._generations.take_middle
                others = self._llm.publish(outputs, lambda output, at, stats: take_middle(output, at, stats, items))
                self._generations.take(others, items)
            stuck = not executed and self._core.scheduler.has_requests()
            wait_ms = _CORE_WAIT_MS if stuck else 0.0
        if items or wait_ms == 0 or self._relay.ready:
            self._relay.turn(items)
        else:
            self._relay.wait(items, wait_ms, self._wake_fd)
        if self._weights.broken is not None:
            raise RuntimeError("the weights were replaced in part") from self._weights.broken
        return items

    def tokenize(self, params: TokenizeParams) -> TokenizeResult:
        tokens = self._prompts.tokenize(params.prompt)
        texts = None
        if params.with_tokens:
            texts = list(self._llm.renderer.get_tokenizer().convert_ids_to_tokens(tokens))
        return TokenizeResult(token_ids=tokens, tokens=texts, max_model_len=self._prompts.limits.max_model_len)

    def detokenize(self, params: DetokenizeParams) -> DetokenizeResult:
        return DetokenizeResult(text=self._prompts.decode(params.token_ids))

    def stats(self) -> EngineStats:
        running, waiting = self._core.scheduler.get_request_counts()
        return EngineStats(
            running=running,
            waiting=waiting,
            kv_usage=self._core.scheduler.get_kv_cache_usage(),
            steps=self._steps,
            prompt_tokens=self._generations.prompt_tokens,
            generation_tokens=self._generations.generation_tokens,
        )

    def close(self) -> None:
        self._relay.close()
        self._llm.shutdown()
