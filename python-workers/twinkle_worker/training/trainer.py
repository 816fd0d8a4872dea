"""The runs of one base model: made, trained, stepped, saved, loaded and dropped by name. One thread calls it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from .adam import adam_step
from .adapter import Adapter
from .base_model import BaseModel
from .checkpoint import read_checkpoint
from .data_parallel import DataParallel
from .errors import ELSEWHERE, INVALID, NO_RUN, TrainingError
from .inputs import Prepared, prepare
from .passes import Job, PassRunner
from .snapshot import Snapshot
from .spec import AdamParams, LoraSpec, Outcome, Work


@dataclass(frozen=True, slots=True)
class TrainerOptions:
    """How passes are made.

    max_tokens: of one pass; None: 1024 on the CPU, where more falls out of its caches, and 16384 on CUDA. A longer datum passes alone
    checkpoint_activations: compute layers twice instead of keeping their activations
    max_rank: of a run's LoRA
    """

    max_tokens: int | None = None
    checkpoint_activations: bool = False
    max_rank: int = 256


class Trainer:
    """runs: adapters by the name of their run"""

    def __init__(
        self, base: BaseModel, options: TrainerOptions | None = None, peers: DataParallel | None = None
    ) -> None:
        """``peers``: the ranks that train the same runs, all told the same in the same order; None: there are no others."""
        self.base = base
        self.runs: dict[str, Adapter] = {}
        self._options = options if options is not None else TrainerOptions()
        default = 1024 if base.device.type == "cpu" else 16384
        self._peers = peers
        self._passes = PassRunner(base, self._options.max_tokens or default)

    def create(self, run: str, spec: LoraSpec) -> Adapter:
        """A new run. Raises TrainingError for a spec that is wrong or that the model cannot do."""
        spec.check(self._options.max_rank)
        if run in self.runs:
            raise TrainingError(INVALID, f"a run {run} exists")
        self.runs[run] = Adapter(spec, self.base.targets.select(spec), self.base.device)
        return self.runs[run]

    def forward_backward(self, works: Sequence[Work]) -> list[Outcome]:
        """Compute works of any runs in shared passes, adding gradients up by run. Raises nothing for a work: its outcome says it.

        With peers, outcomes are of this rank's datums; the others' follow, in the order of ranks. A work that failed elsewhere has an error
        without words.
        """
        outcomes = [Outcome() for _ in works]
        jobs: dict[int, Job] = {}
        for at, work in enumerate(works):
            try:
                adapter = self.adapter(work.run)
                mine = self._prepare(work)
                if mine is not None:
                    jobs[at] = Job(adapter, mine, not work.forward_only)
            except TrainingError as error:
                outcomes[at] = Outcome(error=error)
        self._passes.run(list(jobs.values()))
        for at, job in jobs.items():
            if job.outcome is None:
                raise RuntimeError(f"work {at} was not run")
            outcomes[at] = job.outcome
        counts = [outcome.error is None for outcome in outcomes]
        if self._peers is not None:
            counts = self._peers.all_agree(counts)
        self._passes.settle(list(jobs.values()), [counts[at] for at in jobs])
        return [
            outcome if good or outcome.error is not None else Outcome(error=TrainingError(ELSEWHERE, ""))
            for outcome, good in zip(outcomes, counts, strict=True)
        ]

    def _prepare(self, work: Work) -> Prepared | None:
        """This rank's part of a work; None: it has none. The whole is checked everywhere, so that all ranks refuse the same."""
        base, peers = self.base, self._peers
        if peers is None:
            return prepare(work, base.limits, base.device)
        prepare(work, base.limits, torch.device("cpu"))
        mine = peers.share([len(datum.tokens) for datum in work.datums])
        part = replace(work, datums=work.datums[mine.start : mine.stop])
        return prepare(part, base.limits, base.device, mine.start) if len(mine) > 0 else None

    def optim_step(self, run: str, params: AdamParams) -> dict[str, float]:
        """Step a run and clear its gradient; metrics by ``name:reduction``. See :func:`adam.adam_step`. Raises TrainingError."""
        return adam_step(self.adapter(run), params, None if self._peers is None else self._peers.add_up)

    def snapshot(self, run: str, optimizer: bool = True) -> Snapshot:
        """The run as it is now, to be written by any thread. Raises TrainingError for an unknown run."""
        return Snapshot.take(self.adapter(run), self.base.targets, self.base.name, optimizer)

    def hand_over(self, run: str) -> Snapshot:
        """As :meth:`snapshot`, for an engine on this machine. Raises TrainingError for an unknown run."""
        return Snapshot.hand_over(self.adapter(run), self.base.targets, self.base.name, self.base.compute_dtype)

    def load(self, run: str, folder: Path, optimizer: bool) -> Adapter:
        """Make or replace a run by a checkpoint; on TrainingError it is as before."""
        adapter = read_checkpoint(folder, self.base.targets, optimizer, self.base.device, self._options.max_rank)
        self.runs[run] = adapter
        return adapter

    def drop(self, run: str) -> None:
        """Forget a run; unknown ones are fine."""
        self.runs.pop(run, None)

    def adapter(self, run: str) -> Adapter:
        """Raises TrainingError for a run that is not here."""
        adapter = self.runs.get(run)
        if adapter is None:
            raise TrainingError(NO_RUN, f"there is no run {run} here; it was dropped or never made")
        return adapter
