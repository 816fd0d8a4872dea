"""Passes through a model that is spread over ranks: all make as many, of the same kinds, and repeat the same works after an error.

What they compute in them differs: each has its own datums, and may have none.
"""

from __future__ import annotations

from collections.abc import Sequence

from .base_model import BaseModel
from .batching import Part, plan_passes
from .data_parallel import DataParallel
from .errors import ELSEWHERE, MEMORY, TrainingError
from .outcomes import outcome_of, translate
from .passes import Attempt, Job, PassRunner
from .sharding import ShardedLayers
from .spec import Outcome


class LockstepRunner(PassRunner):
    """A PassRunner that every rank runs with the same works at the same places."""

    def __init__(self, base: BaseModel, max_tokens: int, shards: ShardedLayers, peers: DataParallel) -> None:
        super().__init__(base, max_tokens)
        self._shards = shards
        self._peers = peers

    def run(self, jobs: Sequence[Job | None], backward: Sequence[bool]) -> None:
        """As PassRunner's. All ranks must call it with the same ``backward``; those without a part of a work have None for it."""
        for kind in (True, False):
            group = [job for job, back in zip(jobs, backward, strict=True) if back == kind]
            if group:
                self._together(group, kind, self._max_tokens)

    def _together(self, group: Sequence[Job | None], backward: bool, max_tokens: int) -> None:
        """Run works of one kind together. If that fails on any rank, all forget it, and run each by itself, or in smaller passes."""
        jobs = [job for job in group if job is not None]
        lengths = [job.work.sizes for job in jobs]
        longest = max((each[0] for each in lengths), default=max_tokens)
        attempts: list[Attempt] = []
        outcomes: list[Outcome] | None = None
        passes: list[list[Part]] = []
        failed: TrainingError | None = None
        try:
            attempts.extend(self._begin(job) for job in jobs)
            passes = plan_passes(lengths, max_tokens)
        except Exception as error:
            failed = translate(error)
        while True:
            if failed is None and not passes and outcomes is None:
                try:
                    outcomes = [outcome_of(one.job.work, one.scored, one.claim) for one in attempts]
                except Exception as error:
                    failed = translate(error)
            smaller = failed is None or (failed.code == MEMORY and max_tokens > longest)
            more, broken, hopeless = self._peers.most([len(passes) > 0, failed is not None, not smaller])
            if broken or not more:
                break
            failed = self._step(attempts, passes.pop(0) if passes else None, backward)
        if not broken:
            for attempt, outcome in zip(attempts, outcomes or (), strict=True):
                attempt.job.outcome, attempt.job.claim = outcome, attempt.claim
            return
        for attempt in attempts:
            if attempt.claim is not None:
                attempt.claim.discard()
        attempts.clear()
        if len(group) > 1:
            for job in group:
                self._together([job], backward, max_tokens)
        elif not hopeless:
            self._together(group, backward, min(max_tokens, longest))
        else:
            for job in jobs:
                job.outcome = Outcome(error=failed if failed is not None else TrainingError(ELSEWHERE, ""))

    def _step(self, attempts: Sequence[Attempt], parts: Sequence[Part] | None, backward: bool) -> TrainingError | None:
        """Make one pass, or where this rank has nothing left, only take part in its gathers."""
        failed = None
        self._shards.begin(backward)
        if parts is not None:
            try:
                self._pass(attempts, parts, backward)
            except Exception as error:
                failed = translate(error)
        # Only now: with the error its traceback is gone, and with that the tensors of the pass, whose room the gathers need.
        if failed is not None:
            self._give_back(failed)
        self._shards.finish()
        return failed
