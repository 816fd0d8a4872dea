"""The losses of the Twinkle API in as few words as torch allows, for autograd, beside a plain PEFT model; and works of all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from training_support import VOCABULARY, Reference

from twinkle_worker.training.spec import Datum, Work

CLASSES: dict[str, dict[str, float | str]] = {
    "cross_entropy": {},
    "grpo": {},
    "sapo": {"tau_pos": 1.5, "tau_neg": 0.7},
    "cispo": {"epsilon": 0.3},
    "gspo": {"epsilon": 0.05, "epsilon_high": 0.1},
    "dpo": {},
    "simpo": {},
    "cpo": {},
    "orpo": {},
}
TOKENS = ("cross_entropy", "grpo", "sapo", "cispo")
PAIRS = ("dpo", "simpo", "cpo", "orpo")


def twinkle_datum(length: int, salt: int, loss: str, **changes: Any) -> Datum:
    """With all inputs of a loss (of its short name); ``changes`` replace inputs, None takes one away."""
    random = torch.Generator().manual_seed(1000 * salt + length)
    tokens = torch.randint(VOCABULARY, (length,), generator=random, dtype=torch.int32)
    inputs: dict[str, Any] = {"target_tokens": torch.randint(VOCABULARY, (length,), generator=random)}
    if loss in TOKENS or loss == "gspo":
        inputs["weights"] = torch.rand(length, generator=random) / length
    if loss in ("grpo", "sapo", "cispo", "gspo"):
        # Near the log-probabilities of a random model, so that ratios fall on both sides of the clips.
        inputs["logprobs"] = -4.6 + torch.randn(length, generator=random)
        inputs["advantages"] = torch.randn(length, generator=random)
        inputs["ref_logprobs"] = -4.6 + torch.randn(length, generator=random)
    if loss in PAIRS or loss == "gspo":
        inputs["mask"] = (torch.rand(length, generator=random) < 0.7).float()
        inputs["mask"][-1] = 1.0
    if loss == "dpo":
        inputs["ref_logprobs"] = -4.6 + torch.randn(length, generator=random)
    return Datum(tokens, {name: value for name, value in {**inputs, **changes}.items() if value is not None})


def twinkle_work(run: str, lengths: Sequence[int], loss: str, salt: int = 0, **options: Any) -> Work:
    """One datum for each length; ``options`` are of the config, forward_only too."""
    forward_only = options.pop("forward_only", False)
    away = {"logprobs": None} if options.get("on_policy") else {}
    datums = [twinkle_datum(length, salt + at, loss, **away) for at, length in enumerate(lengths)]
    return Work(run, datums, f"twinkle.{loss}", {**CLASSES[loss], **options}, forward_only)


def contrast_work(run: str, groups: Sequence[Sequence[int]], salt: int = 0, **options: Any) -> Work:
    """Of lengths by group: an anchor, its positive and its negatives."""
    forward_only = options.pop("forward_only", False)
    datums = []
    for group in groups:
        for at, length in enumerate(group):
            tokens = twinkle_datum(length, salt + len(datums), "cross_entropy").tokens
            datums.append(Datum(tokens, {"anchor": torch.tensor([float(at == 0)])}))
    return Work(run, datums, "twinkle.infonce", options, forward_only)


class TwinkleReference(Reference):
    """As Reference, for these losses."""

    def tokens(self, one: Datum, temperature: float = 1.0) -> tuple[Tensor, Tensor]:
        """Log-probabilities of the targets, and entropies [N]."""
        logits = self.model(input_ids=one.tokens.long().unsqueeze(0)).logits[0].float() / temperature
        every = logits.log_softmax(-1)
        return every.gather(1, one.inputs["target_tokens"].unsqueeze(1))[:, 0], -(every.exp() * every).sum(-1)

    def embedding(self, one: Datum) -> Tensor:
        """Of the last token [H], of length 1."""
        states = self.model.model.base_model(input_ids=one.tokens.long().unsqueeze(0)).last_hidden_state[0, -1]
        return F.normalize(states.float(), dim=-1)

    def loss(self, work: Work) -> Tensor:
        """Of all datums of a work."""
        if work.loss == "twinkle.infonce":
            vectors = torch.stack([self.embedding(one) for one in work.datums])
            return plain_infonce(vectors, [float(one.inputs["anchor"]) for one in work.datums], work.config)
        scored = [self.tokens(one, float(work.config.get("temperature", 1.0))) for one in work.datums]
        inputs = [one.inputs for one in work.datums]
        short = work.loss.removeprefix("twinkle.")
        lps = [lp for lp, _ in scored]
        total = plain_pairs(short, lps, inputs, work.config) if short in PAIRS else lps[0].sum() * 0
        if short not in PAIRS:
            for (lp, entropies), given in zip(scored, inputs, strict=True):
                terms = plain_tokens(short, lp, given, work.config)
                terms = terms - float(work.config.get("entropy_coef", 0.0)) * entropies
                total = total + (terms * given["weights"] * given.get("mask", torch.ones_like(lp))).sum()
        return total


def plain_tokens(loss: str, lp: Tensor, inputs: Mapping[str, Tensor], config: Mapping[str, Any]) -> Tensor:
    """Losses of the tokens of one sequence, without weights."""
    if loss == "cross_entropy":
        return -lp * (lp.exp() if config.get("dft") else 1)
    old = lp.detach() if config.get("on_policy") else inputs["logprobs"]
    gap, advantages = (lp - old).clamp(-20, 20), inputs["advantages"]
    if loss == "gspo":
        gap = (gap * inputs["mask"]).sum() / inputs["mask"].sum()
    ratio, low = gap.exp(), config.get("epsilon", 0.2)
    if loss in ("grpo", "gspo"):
        clipped = ratio.clamp(1 - low, 1 + config.get("epsilon_high", low))
        terms = -torch.min(ratio * advantages, clipped * advantages)
    elif loss == "sapo":
        tau = torch.where(advantages > 0, config.get("tau_pos", 1.0), config.get("tau_neg", 1.0))
        terms = -torch.sigmoid(tau * (ratio - 1)) * 4 / tau * advantages
    else:
        assert loss == "cispo"
        terms = -ratio.clamp(max=1 + low).detach() * advantages * lp
    if config.get("beta"):
        far = inputs["ref_logprobs"] - lp
        terms = terms + config["beta"] * (far.exp() - far - 1)
    return terms


def plain_pairs(
    loss: str, lps: Sequence[Tensor], inputs: Sequence[Mapping[str, Tensor]], config: Mapping[str, Any]
) -> Tensor:
    """The mean over pairs, with the mean likelihood of chosen tokens where there is one."""
    masks = [one["mask"] for one in inputs]
    sums = torch.stack([(lp * mask).sum() for lp, mask in zip(lps, masks, strict=True)])
    means = sums / torch.stack([mask.sum() for mask in masks])
    likelihood = -sums[::2].sum() / sum(mask.sum() for mask in masks[::2])
    if loss == "simpo":
        margin = config.get("beta", 2.5) * (means[::2] - means[1::2]) - config.get("gamma", 0.5)
        return -F.logsigmoid(margin).mean()
    if loss == "cpo":
        preferred = -F.logsigmoid(config.get("beta", 0.1) * (sums[::2] - sums[1::2])).mean()
        return preferred + config.get("bc_coef", 1.0) * likelihood
    if loss == "orpo":
        odds = means - torch.log1p(-means.exp())
        return likelihood - config.get("lambda_orpo", 0.1) * F.logsigmoid(odds[::2] - odds[1::2]).mean()
    assert loss == "dpo"
    gains = sums
    if not config.get("reference_free"):
        gains = sums - torch.stack([(one["ref_logprobs"] * one["mask"]).sum() for one in inputs])
    return plain_dpo(gains[::2], gains[1::2], config).mean() + config.get("sft_weight", 0.0) * likelihood


def plain_dpo(chosen: Tensor, rejected: Tensor, config: Mapping[str, Any]) -> Tensor:
    """Of each pair."""
    beta, kind = config.get("beta", 0.1), config.get("loss_type", "sigmoid")
    margin = beta * (chosen - rejected)
    if kind == "hinge":
        return torch.relu(1 - margin)
    if kind == "ipo":
        return (margin - 1 / (2 * beta)) ** 2
    if kind == "kto_pair":
        return 1 - torch.sigmoid(beta * chosen) + torch.sigmoid(beta * rejected)
    smooth = config.get("label_smoothing", 0.0)
    return -(1 - smooth) * F.logsigmoid(margin) - smooth * F.logsigmoid(-margin)


def plain_infonce(vectors: Tensor, anchors: Sequence[float], config: Mapping[str, Any]) -> Tensor:
    """Anchor by anchor, with one list of logits each, its positive first."""
    starts = [at for at, flag in enumerate(anchors) if flag] + [len(anchors)]
    groups = [list(vectors[first:last]) for first, last in pairwise(starts)]
    hard = config.get("hard_negatives")
    if hard is not None:
        # Repeated in turn, where a class of the peer would draw.
        groups = [[*one[:2], *((one[2:] * int(hard))[: int(hard)])] for one in groups]
    total = vectors.sum() * 0
    margin = config.get("fake_neg_margin", 0.1) if config.get("mask_fake_negative") else float("inf")
    for at, (query, positive, *negatives) in enumerate(groups):
        best = query @ positive
        others = [one for other, group in enumerate(groups) if other != at for one in group[1:]]
        if not config.get("use_batch", 1):
            logits = [best, *(query @ one for one in negatives)]
        else:
            shared = [query @ one for one in (*negatives, *others)]
            if config.get("include_qq"):
                shared += [query @ group[0] for other, group in enumerate(groups) if other != at]
            logits = [best, *(one for one in shared if one.item() <= best.item() + margin)]
            if config.get("include_dd"):
                logits += [positive @ one for one in (*negatives, *others)]
        logits = torch.stack(logits) / config.get("temperature", 0.1)
        total = total - logits.log_softmax(0)[0]
    return total / len(groups)
