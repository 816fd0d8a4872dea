"""The runs of one base model: made, trained, stepped, saved, loaded and dropped by name. One thread calls it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .adam import Reduce, adam_step
from .adapter import Adapter
from .base_model import BaseModel
from .checkpoint import read_checkpoint
from .errors import INVALID, NO_RUN, TrainingError
from .inputs import prepare
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

    def __init__(self, base: BaseModel, options: TrainerOptions | None = None) -> None:
        self.base = base
        self.runs: dict[str, Adapter] = {}
        self._options = options if options is not None else TrainerOptions()
        default = 1024 if base.device.type == "cpu" else 16384
        self._passes = PassRunner(base, self._options.max_tokens or default)

    def create(self, run: str, spec: LoraSpec) -> Adapter:
        """A new run. Raises TrainingError for a spec that is wrong or that the model cannot do."""
        spec.check(self._options.max_rank)
        if run in self.runs:
            raise TrainingError(INVALID, f"a run {run} exists")
        self.runs[run] = Adapter(spec, self.base.targets.select(spec), self.base.device)
        return self.runs[run]

    def forward_backward(self, works: Sequence[Work]) -> list[Outcome]:
        """Compute works of any runs in shared passes, adding gradients up by run. Raises nothing for a work: its outcome says it."""
        outcomes: list[Outcome | None] = []
        jobs: list[Job | None] = []
        for work in works:
            try:
                adapter = self.adapter(work.run)
                jobs.append(Job(adapter, prepare(work, self.base.limits, self.base.device), not work.forward_only))
                outcomes.append(None)
            except TrainingError as error:
                jobs.append(None)
                outcomes.append(Outcome(error=error))
        self._passes.run([job for job in jobs if job is not None])
        answers = [job.outcome if job is not None else outcome for job, outcome in zip(jobs, outcomes, strict=True)]
        return [answer for answer in answers if answer is not None]

    def optim_step(self, run: str, params: AdamParams, reduce: Reduce | None = None) -> dict[str, float]:
        """Step a run and clear its gradient; metrics by ``name:reduction``. See :func:`adam.adam_step`. Raises TrainingError."""
        return adam_step(self.adapter(run), params, reduce)

    def snapshot(self, run: str, optimizer: bool = True) -> Snapshot:
        """The run as it is now, to be written by any thread. Raises TrainingError for an unknown run."""
        return Snapshot.take(self.adapter(run), self.base.targets, self.base.name, optimizer)

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
