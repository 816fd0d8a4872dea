"""The runs of one base model: made, trained, stepped, saved, loaded and dropped by name. One thread calls it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from .adapter import Adapter
from .base_model import BaseModel
from .checkpoint import read_checkpoint
from .contrast_works import Contrasts, embedding_work, is_apart
from .data_parallel import DataParallel
from .errors import ELSEWHERE, INVALID, NO_RUN, UNSUPPORTED, TrainingError
from .flat_run import Reduce
from .full_checkpoint import FullCheckpoint
from .full_parameters import select_parameters
from .full_run import FullRun
from .full_snapshot import FullSnapshot
from .groups import datums_of, groups_of, tokens_of
from .inputs import Prepared, prepare
from .lockstep import LockstepRunner
from .manifest import is_full, read_manifest
from .outcomes import translate
from .passes import Job, PassRunner
from .snapshot import Snapshot
from .spec import FullSpec, LoraSpec, Outcome, StepParams, Work
from .steps import gradient_norm, take_step


@dataclass(frozen=True, slots=True)
class TrainerOptions:
    """How passes are made.

    max_tokens: of one pass; None: 1024 on the CPU, where more falls out of its caches, and 16384 on CUDA. A longer datum passes alone
    checkpoint_activations: compute layers twice instead of keeping their activations
    max_rank: of a run's LoRA
    shard: spread the base model over the ranks that train it
    """

    max_tokens: int | None = None
    checkpoint_activations: bool = False
    max_rank: int = 256
    shard: bool = False


class Trainer:
    """runs: by their names; a full one is alone"""

    def __init__(
        self, base: BaseModel, options: TrainerOptions | None = None, peers: DataParallel | None = None
    ) -> None:
        """``peers``: the ranks that train the same runs, all told the same in the same order; None: there are no others."""
        self.base = base
        self.runs: dict[str, Adapter | FullRun] = {}
        self._options = options if options is not None else TrainerOptions()
        default = 1024 if base.device.type == "cpu" else 16384
        self._peers = peers
        self._max_tokens = max_tokens = self._options.max_tokens or default
        if base.shards is None:
            self._passes = PassRunner(base, max_tokens)
        else:
            assert peers is not None
            self._passes = LockstepRunner(base, max_tokens, base.shards, peers)
        self._contrasts = Contrasts(base, self._passes, peers)

    def create(self, run: str, spec: LoraSpec) -> Adapter:
        """A new run. Raises TrainingError for a spec that is wrong or that the model cannot do, or while there is a full run."""
        spec.check(self._options.max_rank)
        self._check_room(run)
        adapter = Adapter(spec, self.base.targets.select(spec), self.base.device, self._place)
        self.runs[run] = adapter
        return adapter

    def create_full(self, run: str, spec: FullSpec) -> FullRun:
        """A new run that trains the model's own parameters. Raises TrainingError while there is any other run, and for want of memory."""
        self._check_room(run, alone=True)
        made = FullRun(spec, select_parameters(self.base.model, self.base.kinds, spec), self.base.device)
        self.runs[run] = made
        return made

    def _check_room(self, run: str, alone: bool = False) -> None:
        if run in self.runs:
            raise TrainingError(INVALID, f"a run {run} exists")
        if alone and self.base.shards is not None:
            raise TrainingError(
                UNSUPPORTED,
                "the base model is spread over ranks (--train-shard), so it cannot be trained itself: train a LoRA",
                "lora_config.rank",
            )
        self._check_taken(self._full or (alone and bool(self.runs)))

    @staticmethod
    def _check_taken(taken: bool) -> None:
        if taken:
            raise TrainingError(INVALID, "the model is taken: a run that trains all of it has to be alone")

    @property
    def _place(self) -> int:
        return 0 if self._peers is None else self._peers.rank

    @property
    def _reduce(self) -> Reduce | None:
        return None if self._peers is None else self._peers.add_up

    @property
    def _full(self) -> bool:
        return any(isinstance(run, FullRun) for run in self.runs.values())

    def forward_backward(self, works: Sequence[Work]) -> list[Outcome]:
        """Compute works of any runs in shared passes, adding gradients up by run. Raises nothing for a work: its outcome says it.

        With peers, outcomes are of this rank's datums; the others' follow, in the order of ranks. A work that failed elsewhere has an error
        without words.
        """
        if self._full and len(works) > 1:
            # Gradients of a model's own parameters cannot be told apart by work, and room for several is room for several models.
            return [outcome for work in works for outcome in self.forward_backward([work])]
        outcomes = [Outcome() for _ in works]
        jobs: dict[int, Job] = {}
        apart = {at for at, work in enumerate(works) if is_apart(work, self._max_tokens, self._peers)}
        firsts: dict[int, Job] = {}
        whole: dict[int, Prepared] = {}
        for at, work in enumerate(works):
            try:
                adapter = self.adapter(work.run)
                mine = self._prepare(embedding_work(work) if at in apart else work, adapter)
                if at in apart:
                    whole[at] = prepare(work, self.base.limits, torch.device("cpu"))
                if mine is not None and at in apart:
                    firsts[at] = Job(adapter, mine, False)
                elif mine is not None:
                    jobs[at] = Job(adapter, mine, not work.forward_only)
            except Exception as error:  # want of memory, too, which other ranks may have enough of
                outcomes[at] = Outcome(error=translate(error))
        contrasted: dict[int, Job] = {}
        for at in sorted(apart):
            done = self._contrasts.run(works[at], firsts.get(at), whole.get(at))
            if isinstance(done, Job):
                contrasted[at] = done
            elif outcomes[at].error is None:
                outcomes[at] = done
        rest = [at for at in range(len(works)) if at not in apart]
        self._passes.run([jobs.get(at) for at in rest], [not works[at].forward_only for at in rest])
        # In the order in which their claims were made.
        jobs = {**contrasted, **jobs}
        for at, job in jobs.items():
            if job.outcome is None:
                raise RuntimeError(f"work {at} was not run")
            outcomes[at] = job.outcome
        counts = [outcome.error is None for outcome in outcomes]
        if self._peers is not None:
            counts = self._peers.all_agree(counts)
            for run in {work.run for work, good in zip(works, counts, strict=True) if good and not work.forward_only}:
                self.adapter(run).divide(keeps=self._place == 0)
        self._passes.settle(list(jobs.values()), [counts[at] for at in jobs])
        return [
            outcome if good or outcome.error is not None else Outcome(error=TrainingError(ELSEWHERE, ""))
            for outcome, good in zip(outcomes, counts, strict=True)
        ]

    def _prepare(self, work: Work, trained: Adapter | FullRun) -> Prepared | None:
        """This rank's part of a work; None: it has none. The whole is checked everywhere, so that all ranks refuse the same."""
        base, peers = self.base, self._peers
        checked = prepare(work, base.limits, base.device if peers is None else torch.device("cpu"))
        if checked.options.disable_lora and isinstance(trained, FullRun):
            raise TrainingError(
                UNSUPPORTED,
                "this run trains all of the model, so there is no LoRA to leave out: the base is not here any more",
                "loss_fn_config.disable_lora",
            )
        if peers is None:
            return checked
        groups = groups_of(checked.loss, work.datums)
        mine = datums_of(groups, peers.share(tokens_of(groups, [len(datum.tokens) for datum in work.datums])))
        part = replace(work, datums=work.datums[mine.start : mine.stop])
        return prepare(part, base.limits, base.device, mine.start, checked) if len(mine) > 0 else None

    def optim_step(self, run: str, params: StepParams) -> dict[str, float]:
        """Step a run and clear its gradient; metrics by ``name:reduction``. See :func:`steps.take_step`. Raises TrainingError."""
        trained = self.adapter(run)
        metrics = take_step(trained, params, self._reduce)
        if isinstance(trained, FullRun):
            trained.publish()
        return metrics

    def gradient_norm(self, run: str, scale: float = 1.0, norm_type: float = 2.0) -> float:
        """What a step would clip. See :func:`steps.gradient_norm`. Raises TrainingError."""
        return gradient_norm(self.adapter(run), scale, norm_type, self._reduce)

    def clear_gradient(self, run: str) -> None:
        """Forget the gradient of a run. Raises TrainingError for an unknown run."""
        self.adapter(run).clear()

    def snapshot(self, run: str, optimizer: bool = True) -> Snapshot | FullSnapshot:
        """The run as it is now, to be written by any thread; a full one before all else. Raises TrainingError for an unknown run."""
        trained = self.adapter(run)
        if isinstance(trained, FullRun):
            return FullSnapshot(trained, self.base.model, self.base.name, optimizer)
        return Snapshot.take(trained, self.base.targets, self.base.name, optimizer)

    def hand_over(self, run: str) -> Snapshot:
        """As :meth:`snapshot`, for an engine on this machine. Raises TrainingError for an unknown run, and a full one."""
        trained = self.adapter(run)
        if isinstance(trained, FullRun):
            raise TrainingError(UNSUPPORTED, "a run that trains all of the model has no adapter to hand over")
        return Snapshot.hand_over(trained, self.base.targets, self.base.name, self.base.compute_dtype)

    def load(self, run: str, folder: Path, optimizer: bool) -> Adapter | FullRun:
        """Make or replace a run by a checkpoint; on TrainingError it is as before."""
        manifest = read_manifest(folder)
        if is_full(manifest):
            return self._load_full(run, FullCheckpoint.open(folder, manifest, optimizer))
        self._check_taken(self._full)
        base, max_rank = self.base, self._options.max_rank
        adapter = read_checkpoint(folder, manifest, base.targets, optimizer, base.device, max_rank, self._place)
        self.runs[run] = adapter
        return adapter

    def _load_full(self, run: str, saved: FullCheckpoint) -> FullRun:
        saved.check(select_parameters(self.base.model, self.base.kinds, saved.spec))
        known = self.runs.get(run)
        if isinstance(known, FullRun) and known.spec != saved.spec:
            raise TrainingError(INVALID, "the checkpoint trains other parts of the model: begin a run from it")
        # In place, as there may be no room for two.
        made = known if isinstance(known, FullRun) else self.create_full(run, saved.spec)
        try:
            saved.fill(made)
        except BaseException:
            self.drop(run)
            raise
        return made

    def drop(self, run: str) -> None:
        """Forget a run; unknown ones are fine."""
        dropped = self.runs.pop(run, None)
        if isinstance(dropped, FullRun):
            dropped.leave()
            del dropped
            if self.base.device.type == "cuda":
                torch.cuda.empty_cache()  # as much as several models: others on the device may want it

    def adapter(self, run: str) -> Adapter | FullRun:
        """Raises TrainingError for a run that is not here."""
        adapter = self.runs.get(run)
        if adapter is None:
            raise TrainingError(NO_RUN, f"there is no run {run} here; it was dropped or never made")
        return adapter
