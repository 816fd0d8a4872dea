"""InfoNCE, a loss of the embeddings of a work's datums: how they are grouped, and the loss of each group. Knows nothing of passes.

A group is an anchor, its positive and its negatives, in this order; all embeddings have length 1. A similarity is a product of two of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from .losses import Loss, Numbers

_NEVER = float("-inf")


@dataclass(frozen=True, slots=True)
class Embedded:
    """Some datums of a work.

    vectors: float32 [n, H], of length 1
    groups: datums in each group, in order; inputs: float32 [n, ...] by name
    """

    vectors: Tensor
    groups: Sequence[int]
    inputs: Mapping[str, Tensor]


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddingLoss(Loss):
    """function: losses of datums [n], whose sum is the loss
    grouped: whether datums come in groups
    """

    function: Callable[[Embedded, Numbers], Tensor]
    grouped: bool = False


def no_loss(data: Embedded, _numbers: Numbers) -> Tensor:
    """Embeddings alone."""
    return torch.zeros(len(data.vectors), device=data.vectors.device)


def given_slopes(data: Embedded, _numbers: Numbers) -> Tensor:
    """What the inputs ``losses`` [n] and ``slopes`` [n, H] say."""
    along = (data.vectors * data.inputs["slopes"]).sum(-1)
    return data.inputs["losses"] + along - along.detach()


def infonce(data: Embedded, numbers: Numbers) -> Tensor:
    """-log of a positive's share in a softmax over similarities / temperature, at each anchor; a mean over the work's groups.

    The softmax is over the anchor's similarities with all answers, positives and negatives, of its group, or with use_batch of all groups.
    Then include_qq adds those with other anchors, include_dd those of its positive with other answers; and mask_fake_negative leaves out
    what is more similar to the anchor than its positive is, by more than fake_neg_margin.
    hard_negatives: of each group, so many; more are cut off, fewer are repeated in turn.
    """
    anchors, answers, own, positives = _places(data.groups, numbers.get("hard_negatives"), data.vectors.device)
    queries, docs = data.vectors[anchors], data.vectors[answers]
    similar = queries @ docs.T
    if numbers["use_batch"]:
        logits = _over_batch(similar, queries, docs, positives, numbers)
    else:
        logits = similar.masked_fill(own.unsqueeze(0) != torch.arange(len(anchors), device=own.device)[:, None], _NEVER)
    losses = F.cross_entropy(logits / numbers["temperature"], positives, reduction="none")
    return torch.zeros(len(data.vectors), device=losses.device).scatter(0, anchors, losses / numbers["groups"])


def _over_batch(similar: Tensor, queries: Tensor, docs: Tensor, positives: Tensor, numbers: Numbers) -> Tensor:
    parts = [similar]
    if numbers["include_qq"]:
        itself = torch.eye(len(queries), dtype=torch.bool, device=queries.device)
        parts.append((queries @ queries.T).masked_fill(itself, _NEVER))
    if numbers["mask_fake_negative"]:
        most = similar.detach().gather(1, positives.unsqueeze(1)) + numbers["fake_neg_margin"]
        parts = [part.masked_fill(part > most, _NEVER) for part in parts]
    if numbers["include_dd"]:
        itself = F.one_hot(positives, len(docs)).bool()
        parts.append((docs[positives] @ docs.T).masked_fill(itself, _NEVER))
    return torch.cat(parts, dim=1)


def _places(
    groups: Sequence[int], hard_negatives: float | None, device: torch.device
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Datums that are anchors [G], and answers [D]; the group of each answer [D]; and which answers are positives [G]."""
    anchors, answers, own, positives = [], [], [], []
    start = 0
    for group, size in enumerate(groups):
        negatives = range(start + 2, start + size)
        count = len(negatives) if hard_negatives is None else int(hard_negatives)
        anchors.append(start)
        positives.append(len(answers))
        answers.append(start + 1)
        answers.extend(negatives[at % len(negatives)] for at in range(count))
        own.extend([group] * (count + 1))
        start += size
    first, second, third, fourth = (torch.tensor(one, device=device) for one in (anchors, answers, own, positives))
    return first, second, third, fourth
