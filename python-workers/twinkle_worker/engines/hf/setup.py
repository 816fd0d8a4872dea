"""From LoadParams to the parts of a running engine: model, memory budget, batch, queue, prompt codec."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

import torch

from ...protocol import LoadParams, ModelCard
from ..base import LoadError, Progress
from ..limits import PromptLimits
from .batch import RunningBatch
from .chat import ChatRenderer
from .loading import LoadedModel, load_model, read_template
from .memory import kv_cache_budget
from .model_lora import ModelLora
from .options import EngineOptions, parse_options
from .prefill import PrefillQueue
from .prompts import PromptCodec
from .runner import ModelRunner
from .self_check import self_check
from .slot_store import BLOCK, round_up
from .threads import thread_count
from .token_text import TokenTexts

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Loaded:
    """Parts of an engine.

    lora: of its layers
    kv_tokens: tokens that the running batch can hold
    """

    options: EngineOptions
    card: ModelCard
    tokenizer: Any
    texts: TokenTexts
    codec: PromptCodec
    batch: RunningBatch
    queue: PrefillQueue
    lora: ModelLora
    eos: frozenset[int]
    kv_tokens: int


def load_parts(params: LoadParams, progress: Progress) -> Loaded:
    """Load everything. Raises LoadError."""
    options = parse_options(params.options)
    template = read_template(options.chat_template)
    model = load_model(params.model, options, progress)
    threads = thread_count(options.num_threads, model.parameters)
    if threads is not None:
        torch.set_num_threads(threads)
    runner = ModelRunner(model.model, model.device)
    token_bytes = self_check(model.model, runner, model.device, model.vocabulary, progress)
    max_model_len, cells = _plan_memory(model, options, token_bytes)
    texts = TokenTexts(model.tokenizer)
    chat = ChatRenderer(model.tokenizer, template)
    budget = options.max_num_batched_tokens or (4096 if model.device.type == "cuda" else 512)
    batch = RunningBatch(runner, model.device, model.vocabulary, options.max_num_seqs, cells)
    progress("warmup", 1.0, "")
    return Loaded(
        options=options,
        card=ModelCard(
            engine="transformers",
            model=params.model,
            max_model_len=max_model_len,
            max_num_seqs=options.max_num_seqs,
            vocab_size=model.vocabulary,
            dtype=str(model.model.dtype).removeprefix("torch."),
            device=_device_name(model.device),
            parameters=model.parameters,
            chat_template=chat.available,
            routes=[],
            relay_chat=False,
            relay_completions=False,
            sampling_defaults=model.defaults,
            system_fingerprint=None,
            adapters=True,
        ),
        tokenizer=model.tokenizer,
        texts=texts,
        codec=PromptCodec(model.tokenizer, chat, PromptLimits(model.vocabulary, max_model_len)),
        batch=batch,
        queue=PrefillQueue(runner, model.device, texts, budget, round_up(max_model_len + 1)),
        lora=ModelLora(model.model, runner, model.device, model.vocabulary),
        eos=model.eos,
        kv_tokens=cells,
    )


def _plan_memory(model: LoadedModel, options: EngineOptions, token_bytes: int) -> tuple[int, int]:
    """The context length and the batch's rows x length. One prompt of full length is staged beside the batch.

    A length that was asked for and does not fit is refused; the model's own is cut, with a warning.
    """
    budget = kv_cache_budget(options, model.device)
    available = budget // token_bytes
    wanted = round_up(model.max_model_len + 1)
    fits = available // 2 // BLOCK * BLOCK - 1
    max_model_len = model.max_model_len
    if fits < max_model_len:
        facts = f"{max_model_len} tokens take {2 * wanted * token_bytes >> 20} MiB of KV cache and {budget >> 20} MiB are there"
        if options.max_model_len is not None or fits < 1:
            raise LoadError(
                f"max_model_len is too large: {facts}; set max_model_len to {max(fits, 0)} or less, "
                "or raise kv_cache_memory_bytes or gpu_memory_utilization"
            )
        log.warning("max_model_len is cut to %d: %s", fits, facts)
        max_model_len = fits
    wanted = round_up(max_model_len + 1)
    return max_model_len, min(available - wanted, options.max_num_seqs * wanted)


def _device_name(device: torch.device) -> str:
    return device.type if device.type == "cpu" else f"{device.type}:{device.index or 0}"
