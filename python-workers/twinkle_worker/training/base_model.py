"""A frozen causal language model made ready for training: packed attention, LoRA layers, and proof that it still answers the same."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from ..engines.base import LoadError
from ..engines.hf.self_check import distance, tolerance
from .adapter import Adapter
from .attention import use_packed_attention
from .full_parameters import sort_parameters
from .inputs import Limits
from .lora_context import LoraContext, Segment, Slot
from .lora_linear import install
from .packed import PackedLayout
from .spec import LoraSpec
from .targets import decoder_layers, find_targets

if TYPE_CHECKING:
    from .sharding import ShardedLayers


class BaseModel:
    """The model of all runs. Making one changes ``model`` in place; it then answers in packed passes only.

    name: as users know it; device: of its weights; context: who owns the rows of a pass
    targets: that LoRA may train; kinds: of its own parameters, by name
    compute_dtype: in which LoRA is computed, from float32 weights: float32 on the CPU, the model's own on CUDA, as samplers do
    shards: its layers, where they are spread over ranks; then every pass is made by all ranks, between ``begin`` and ``finish``
    """

    def __init__(
        self,
        model: Any,
        name: str,
        max_model_len: int,
        checkpoint_activations: bool = False,
        shard: Callable[[nn.Module], ShardedLayers] | None = None,
    ) -> None:
        """``checkpoint_activations``: compute layers again on the way back instead of keeping what they computed. Raises LoadError.

        shard: spreads the layers of a model that is on the CPU over ranks, all of which are here; None: ``model`` is on its device
        """
        self.name = name
        self.model = model.eval().requires_grad_(False)
        self.shards = None if shard is None else shard(self.model)
        self.device: torch.device = model.device
        self.limits = Limits(model.get_input_embeddings().weight.shape[0], max_model_len)
        self.compute_dtype: torch.dtype = model.dtype if self.device.type == "cuda" else torch.float32
        self.context = LoraContext(self.device)
        samples = [
            [(prime * at + 13) % self.limits.vocabulary for at in range(12)] for prime in (7919, 104729, 15485863)
        ]
        samples[1] = samples[1][:5]
        expected = [self._plain(tokens) for tokens in samples]
        use_packed_attention(model)
        seen = self._answers_as(expected, samples)
        _check_windows(model, seen, max_model_len)
        attention = [module for module, _ in seen]
        layers = decoder_layers(model, attention)[1]
        if self.shards is not None and self.shards.layers is not layers:
            raise LoadError(f"{type(model).__name__} has larger parts than its decoder layers, so it cannot be sharded")
        self.targets = find_targets(model, attention)
        self.kinds = sort_parameters(model, attention)
        install(model, self.targets, self.context)
        if checkpoint_activations:
            for layer in layers:
                layer.forward = partial(_checkpointed, layer.forward)
        if self.targets.found:
            self._answers_as(expected, samples, self._zero_slot())

    @property
    def head(self) -> Callable[[Tensor], Tensor]:
        """Hidden states [n, H] to logits [n, vocabulary]."""
        return self.model.get_output_embeddings()

    def hidden(self, tokens: Tensor, layout: PackedLayout) -> Tensor:
        """Last hidden states [T, H] of int64 tokens [T]."""
        answer = self.model.base_model(
            input_ids=tokens.unsqueeze(0), position_ids=layout.positions, use_cache=False, packed=layout
        )
        return answer.last_hidden_state[0]

    def _pass(self) -> AbstractContextManager[None]:
        return nullcontext() if self.shards is None else self.shards.pass_forward()

    def _zero_slot(self) -> Slot:
        adapter = Adapter(LoraSpec(rank=1, seed=0), self.targets.found, self.device)
        return Slot(adapter.layout.views(adapter.flat.to(self.compute_dtype)), {}, 1.0)

    @torch.no_grad()
    def _plain(self, tokens: list[int]) -> Tensor:
        try:
            with self._pass():
                answer = self.model(input_ids=torch.tensor([tokens], device=self.device), use_cache=False)
        except Exception as error:
            raise LoadError(f"{type(self.model).__name__} does not run: {type(error).__name__}: {error}") from error
        return answer.logits[0].float()

    @torch.no_grad()
    def _answers_as(
        self, expected: list[Tensor], samples: list[list[int]], slot: Slot | None = None
    ) -> list[tuple[nn.Module, int | None]]:
        """Compare a packed pass with plain ones; gives what attended. Raises LoadError."""
        layout = PackedLayout([len(tokens) for tokens in samples], self.device)
        layout.seen = []
        segments = [] if slot is None else [Segment(0, layout.total, slot)]
        tokens = torch.tensor([token for sample in samples for token in sample], device=self.device)
        try:
            with self._pass(), self.context.owned(segments):
                logits = self.head(self.hidden(tokens, layout)).float()
        except Exception as error:
            raise LoadError(
                f"{type(self.model).__name__} cannot be trained in packed passes: {type(error).__name__}: {error}"
            ) from error
        worst = max(distance(ours, theirs) for ours, theirs in zip(logits.split(layout.lengths), expected, strict=True))
        if not worst <= tolerance(self.model.dtype):
            raise LoadError(
                f"{type(self.model).__name__} answers differently in a packed pass (off by {worst:.3g} of its logits' spread): it does "
                "not take positions and attention from outside, or changes its logits after the output embedding"
            )
        return layout.seen


def _check_windows(model: Any, seen: list[tuple[nn.Module, int | None]], max_model_len: int) -> None:
    """Raise LoadError for layers whose window the model keeps in its mask alone, which packed passes do not have."""
    config = model.config.get_text_config()
    types = [str(kind) for kind in getattr(config, "layer_types", None) or ()]
    sizes = {"sliding_attention": "sliding_window", "chunked_attention": "attention_chunk_size"}
    for kind, (_, window) in zip(types, seen, strict=False):
        size = getattr(config, sizes.get(kind, ""), None)
        within = isinstance(size, int) and size >= max_model_len
        if kind != "full_attention" and not within and (kind != "sliding_attention" or window is None):
            raise LoadError(f"{type(model).__name__} has layers of {kind}, which cannot be trained here")


def _checkpointed(forward: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    if not torch.is_grad_enabled():
        return forward(*args, **kwargs)
    return checkpoint(forward, *args, use_reentrant=False, preserve_rng_state=False, **kwargs)
