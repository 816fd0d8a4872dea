"""Works whose datums are contrasted across passes or ranks: first all embeddings without a gradient, then passes with the slopes they gave.

That is exact: a contrast is a function of the embeddings alone, and each of these one of its own datum. It costs one more way forward.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from .adapter import Adapter
from .base_model import BaseModel
from .contrast import Embedded, EmbeddingLoss, given_slopes
from .data_parallel import DataParallel
from .errors import ELSEWHERE, TrainingError
from .inputs import Prepared
from .outcomes import translate
from .passes import Job, PassRunner
from .sequence_losses import nothing
from .spec import Datum, Outcome, Work
from .twinkle_losses import PREFIX

_GIVEN = EmbeddingLoss(nothing, (), weighted=False, function=given_slopes)


def is_apart(work: Work, max_tokens: int, peers: DataParallel | None) -> bool:
    """Whether a work needs this: knows what was sent alone, so that all ranks agree."""
    over_batch = work.loss == PREFIX + "infonce" and work.config.get("use_batch", 1) != 0
    return over_batch and (peers is not None or sum(len(datum.tokens) for datum in work.datums) > max_tokens)


def embedding_work(work: Work) -> Work:
    """The same datums, to be embedded alone."""
    config = {key: value for key, value in work.config.items() if key == "disable_lora"}
    bare = [Datum(datum.tokens, {}) for datum in work.datums]
    return Work(work.run, bare, PREFIX + "embedding", config, forward_only=True)


@dataclass(frozen=True, slots=True)
class Contrasts:
    """Runs such works. All ranks call it with the same works."""

    base: BaseModel
    passes: PassRunner
    peers: DataParallel | None

    def run(self, work: Work, first: Job | None, whole: Prepared | None) -> Job | Outcome:
        """A job that was run, to be settled; or an outcome where there is none.

        first: this rank's part as an embedding work without backward, None: it has none; whole: the work, None: this rank found it wrong
        """
        if first is not None and not work.forward_only and isinstance(first.adapter, Adapter):
            # The same numbers are left out both times; so it is by itself in its passes, which then hold the same rows.
            first.dropout = first.adapter.next_dropout()
        self.passes.run([first], [False])
        seen = Outcome() if first is None else first.outcome
        assert seen is not None
        good = whole is not None and seen.error is None
        if self.peers is not None:
            (good,) = self.peers.all_agree([good])
        if not good or whole is None:
            return seen if seen.error is not None else Outcome(error=TrainingError(ELSEWHERE, ""))
        vectors = self._gathered(first, len(work.datums))
        second, answer = None, Outcome()
        if first is not None:
            try:
                second, answer = self._second(first, seen, vectors, whole, work.forward_only)
            except Exception as error:
                answer = Outcome(error=translate(error))
        if not work.forward_only:
            self.passes.run([second], [True])
        return answer if second is None else second

    def _gathered(self, first: Job | None, count: int) -> Tensor:
        """Embeddings of all datums of a work, float32 [count, H], in the caller's order."""
        width = self.base.model.config.get_text_config().hidden_size
        vectors = torch.zeros(count, width, device=self.base.device)
        if first is not None and first.outcome is not None:
            mine = torch.stack([output["embeddings"] for output in first.outcome.outputs])
            vectors[first.work.first : first.work.first + len(mine)] = mine.to(vectors.device)
        if self.peers is not None:
            self.peers.add_up(vectors)
        return vectors

    def _second(
        self, first: Job, seen: Outcome, vectors: Tensor, whole: Prepared, forward_only: bool
    ) -> tuple[Job | None, Outcome]:
        """A job to go back with, or what a way forward comes to."""
        assert isinstance(whole.loss, EmbeddingLoss)
        vectors.requires_grad_(not forward_only)
        losses = whole.loss.function(Embedded(vectors, whole.anchors, {}), whole.numbers)
        own = [first.work.first + place for place in first.work.order]
        if forward_only:
            return None, replace(seen, metrics={"loss:sum": losses[own].sum(dtype=torch.float64).item()})
        (slopes,) = torch.autograd.grad(losses.sum(), vectors)
        given = {"slopes": slopes[own], "losses": losses.detach()[own]}
        work = replace(first.work, loss=_GIVEN, inputs=given)
        return Job(first.adapter, work, True, dropout=first.dropout), Outcome()
