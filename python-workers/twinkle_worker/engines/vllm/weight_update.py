"""Weights replaced under a running engine: judge the new ones, pause, have every rank write them, go on. Knows no segment and no link."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Iterable
from typing import Literal

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from vllm.lora.request import LoRARequest
from vllm.v1.core.sched.interface import PauseState

from ...protocol import TensorHandle
from ..base import RequestError
from .compat import reloads_with_lora, weight_files
from .hidden_names import is_hidden
from .inline import InlineLLM
from .rank_weights import WeightSource
from .weight_specs import Specs, check_config, check_specs, file_specs, handle_specs

log = logging.getLogger(__name__)

UPDATE_WEIGHTS = "/twinkle/update_weights"
"""For Node only: among the routes of neither door."""


class _Named(msgspec.Struct, frozen=True):
    name: str
    tensor: TensorHandle


class _Wanted(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Neither path nor tensors: the weights that the engine was started with."""

    path: str | None = None
    tensors: list[_Named] | None = None
    mode: Literal["wait", "keep", "abort"] = "wait"


class WeightUpdates:
    """The route, and what became of it.

    broken: why the model is of two halves and must not answer any more; else None
    """

    def __init__(
        self,
        llm: InlineLLM,
        find: str | Callable[..., None],
        write: str | Callable[..., None],
        adapters: Callable[[], Iterable[LoRARequest]],
    ) -> None:
        """find, write: the steps of RankWeights, as the executor takes calls. adapters: those that requests may name."""
        self._llm, self._adapters = llm, adapters
        self._find, self._write = find, write
        self._original = llm.model_config.model
        self._expected: Specs | None = None
        self._one_at_a_time = asyncio.Lock()
        self.broken: Exception | None = None

    async def answer(self, request: Request) -> Response:
        """Handle ``POST /twinkle/update_weights``."""
        try:
            wanted = msgspec.json.decode(await request.body(), type=_Wanted)
            if wanted.path is not None and wanted.tensors is not None:
                raise RequestError("INVALID_REQUEST", "expected one of `path` and `tensors` but received both", "path")
            async with self._one_at_a_time:
                count = await self._update(wanted, request)
        except msgspec.DecodeError as error:
            return _refusal(400, "INVALID_REQUEST", str(error), None)
        except RequestError as error:
            return _refusal(400, error.code, str(error), error.param)
        return JSONResponse({"status": "updated", "tensors": count})

    async def _update(self, wanted: _Wanted, request: Request) -> int:
        source, specs = self._judge(wanted)
        before = self._llm.core.scheduler.pause_state
        # Requests that the operator has stopped midway must not run to their end for this.
        await self._llm.pause_generation(mode="keep" if before == PauseState.PAUSED_ALL else wanted.mode)
        try:
            if await request.is_disconnected():
                raise RequestError("INVALID_REQUEST", "who asked has gone")
            self._have_ranks_find(source)
            self._have_ranks_write(source)
        finally:
            if self.broken is None:
                self._llm.core.scheduler.set_pause_state(before)
        return len(specs)

    def _judge(self, wanted: _Wanted) -> tuple[WeightSource, Specs]:
        config = self._llm.vllm_config
        if config.lora_config is not None and not reloads_with_lora():
            raise RequestError("INVALID_REQUEST", "this version of vLLM cannot replace weights under --enable-lora")
        for adapter in self._adapters():
            # vLLM forgets adapters with the weights below them, and reads each again when it is used.
            if os.path.isabs(adapter.lora_path) and not os.path.isdir(adapter.lora_path):
                whose = "one of the training service" if is_hidden(adapter.lora_name) else f"`{adapter.lora_name}`"
                raise RequestError(
                    "INVALID_REQUEST", f"the files of adapter {whose} are gone: unload it first", "model"
                )
        expected = self._expect()
        if wanted.tensors is not None:
            tensors = tuple((one.name, one.tensor) for one in wanted.tensors)
            source, given = WeightSource(None, tensors), handle_specs(tensors)
        elif wanted.path is not None:
            hf_config = config.model_config.hf_config
            check_config(wanted.path, hf_config.to_dict())
            source, given = WeightSource(wanted.path), file_specs(weight_files(config, wanted.path))
        else:
            return WeightSource(self._original), expected
        text_config = config.model_config.hf_text_config
        check_specs(expected, given, bool(getattr(text_config, "tie_word_embeddings", False)))
        return source, given

    def _expect(self) -> Specs:
        """Of the checkpoint that the engine was started with."""
        if self._expected is None:
            try:
                self._expected = file_specs(weight_files(self._llm.vllm_config, self._original))
            except RequestError as error:
                raise RequestError(
                    "INVALID_REQUEST", f"the tensors of the model that is served are not known: {error}", "model"
                ) from error
        return self._expected

    def _have_ranks_find(self, source: WeightSource) -> None:
        try:
            self._llm.core.model_executor.collective_rpc(self._find, args=(source,))
        except RequestError:
            raise
        except Exception as error:  # a rank's, told by its name
            raise RequestError("INVALID_REQUEST", str(error)) from error

    def _have_ranks_write(self, source: WeightSource) -> None:
        try:
            self._llm.core.model_executor.collective_rpc(self._write, args=(source,))
        except Exception as error:
            log.exception("the weights are of two models: this engine ends")
            self.broken = error
            raise


def _refusal(status: int, code: str, message: str, param: str | None) -> Response:
    error = {"message": message, "type": "invalid_request_error", "param": param, "code": code.lower()}
    return JSONResponse({"error": error}, status)
