"""Runs works of several runs through the model in shared passes. One that fails harms neither the others nor its run's gradient.

What was added up is held apart until :meth:`PassRunner.settle`, so that several ranks can agree on what counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from .adapter import Adapter
from .base_model import BaseModel
from .batching import Part, plan_passes
from .dropout import Dropout
from .errors import MEMORY, TrainingError
from .flat_run import Claim
from .full_run import FullRun
from .head import PassRows, Scored
from .inputs import Prepared
from .lora_context import Segment, Slot
from .outcomes import outcome_of, translate
from .packed import PackedLayout
from .pass_scores import score_pass
from .slots import Owner, PassSlots, slot_of
from .spec import Outcome

_NOBODY = Slot({}, {}, 1.0)
"""Of rows that the base model answers without LoRA."""


@dataclass(slots=True)
class Job:
    """A work on its way; ``outcome`` is set in the end, with ``claim`` where there is a gradient to be settled.

    dropout: what is left out, where a second job has to leave out the same; None: what comes next
    """

    adapter: Adapter | FullRun
    work: Prepared
    backward: bool
    outcome: Outcome | None = None
    claim: Claim[Any] | None = None
    dropout: tuple[Dropout, ...] | None = None


@dataclass(slots=True)
class Attempt:
    """A job that is being run; its gradient goes to ``claim``. lora: None where the model answers as it is."""

    job: Job
    lora: tuple[Adapter, Tensor, Slot] | None
    claim: Claim[Any] | None
    scored: Scored = field(default_factory=Scored)


class PassRunner:
    """The model and how many tokens go through it at once."""

    def __init__(self, base: BaseModel, max_tokens: int) -> None:
        self._base = base
        self._max_tokens = max_tokens

    def run(self, jobs: Sequence[Job | None], backward: Sequence[bool]) -> None:
        """Set the outcome of each job; those with backward first, apart from those without. To be settled, all of them together.

        None: there is nothing to do here for the work at that place. ``backward``: of each work.
        """
        for kind in (True, False):
            group = [job for job, back in zip(jobs, backward, strict=True) if job is not None and back == kind]
            if group:
                self._run(group, self._max_tokens)

    @staticmethod
    def settle(jobs: Sequence[Job], counts: Sequence[bool]) -> None:
        """Add the gradients of those that count to their runs', and forget the others."""
        # Claims end in the order in which they were made.
        for job, good in zip(jobs, counts, strict=True):
            if job.claim is not None:
                job.claim.commit() if good else job.claim.discard()
                job.claim = None

    def _run(self, jobs: Sequence[Job], max_tokens: int) -> None:
        error = self._try(jobs, max_tokens)
        if error is None:
            return
        if len(jobs) > 1:
            for job in jobs:
                self._run([job], max_tokens)
            return
        longest = jobs[0].work.sizes[0]
        if error.code == MEMORY and max_tokens > longest:
            self._run(jobs, longest)
        else:
            jobs[0].outcome = Outcome(error=error)

    def _try(self, jobs: Sequence[Job], max_tokens: int) -> TrainingError | None:
        """Run jobs of one kind together; on an error nothing of any of them remains."""
        attempts: list[Attempt] = []
        try:
            attempts.extend(self._begin(job) for job in jobs)
            for parts in plan_passes([job.work.sizes for job in jobs], max_tokens):
                self._pass(attempts, parts, jobs[0].backward)
            outcomes = [outcome_of(one.job.work, one.scored, one.claim) for one in attempts]
        except BaseException as error:
            for attempt in attempts:
                if attempt.claim is not None:
                    attempt.claim.discard()
            if not isinstance(error, Exception):
                raise
            # Nothing of the error is kept: its traceback holds the tensors of the pass.
            failed = translate(error)
        else:
            for attempt, outcome in zip(attempts, outcomes, strict=True):
                attempt.job.outcome, attempt.job.claim = outcome, attempt.claim
            return None
        attempts.clear()
        self._give_back(failed)
        return failed

    def _give_back(self, failed: TrainingError) -> None:
        """Memory that the allocator holds, after it had none."""
        if self._base.device.type == "cuda" and failed.code == MEMORY:
            torch.cuda.empty_cache()

    def _begin(self, job: Job) -> Attempt:
        adapter, dtype = job.adapter, self._base.compute_dtype
        if isinstance(adapter, FullRun):
            # Its weights are the model's, which bring their gradients to the claim themselves.
            return Attempt(job, None, adapter.claim() if job.backward else None)
        if job.work.options.disable_lora:
            return Attempt(job, None, None)
        claim = adapter.claim() if job.backward else None
        flat = adapter.flat.to(dtype)
        weights = adapter.weights if flat is adapter.flat else adapter.layout.views(flat)
        slot = slot_of(adapter, weights, claim)
        if job.dropout:
            slot = replace(slot, dropout=job.dropout, scale=adapter.scale / (1 - adapter.spec.dropout))
        return Attempt(job, (adapter, flat, slot), claim)

    def _pass(self, attempts: Sequence[Attempt], parts: Sequence[Part], backward: bool) -> None:
        base = self._base
        pieces: list[PassRows] = []
        owners: list[Owner] = []
        row = 0
        # Rows without an owner come last: owners that are stacked have no gaps between them.
        parts = sorted(parts, key=lambda part: attempts[part.work].lora is None)
        for part in parts:
            attempt = attempts[part.work]
            stop = row + part.stop - part.start
            work = attempt.job.work
            pieces.append(PassRows(row, stop, part.start, work, attempt.scored, part.first, part.last))
            if attempt.lora is not None:
                adapter, flat, slot = attempt.lora
                owners.append(Owner(row, stop, adapter, flat, attempt.claim, slot.at(part.start)))
            row = stop
        tokens = [attempts[part.work].job.work.tokens[part.start : part.stop] for part in parts]
        lengths = [length for part in parts for length in attempts[part.work].job.work.within(part.first, part.last)]
        slots = PassSlots(owners)
        free = [Segment(owners[-1].stop, row, _NOBODY)] if owners and owners[-1].stop < row else []
        layout = PackedLayout(lengths, base.device)
        with base.context.owned([*slots.layers, *free]):
            with torch.set_grad_enabled(backward):
                hidden = base.hidden(torch.cat(tokens), layout)
            with base.context.owned([*slots.plain, *free]):
                grad = score_pass(base, hidden.detach(), pieces, backward)
            if hidden.requires_grad:
                torch.autograd.backward(hidden, grad)
        slots.collect()
