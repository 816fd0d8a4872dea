"""Waiting prompts, and their computation: first come first served, at most so many tokens a step, short prompts together.

Prompts are computed in a staging store and copied into the running batch when whole. At most one prompt is half done between two
steps; it holds staging row 0.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

import torch
from torch import Tensor

from .batch import RunningBatch
from .logprobs import gather_logprobs, token_logprob
from .request import PrefillJob, Request
from .runner import Chunk, ModelRunner
from .slot_cache import SlotCache
from .slot_store import SlotStore, round_up
from .token_text import TokenTexts

_WASTE = 128
"""Padding entries that are always cheaper than one more forward."""
_LEAST_CHUNK = 64
"""A rest of the budget smaller than this starts no long prompt."""
_SCORED_CHUNK = 256
"""Prompt tokens at once when logits of all of them are wanted: bounds their memory."""
_KEEP_CELLS = 4096
"""Rows x length of staging memory that is kept."""


@dataclass(slots=True)
class Prefilled:
    """What a step has completed.

    jobs: those whose choices have joined the batch, in that order, or have nothing to generate
    logits: of the joined choices, one row each
    broken: jobs whose logits were not finite
    """

    jobs: list[PrefillJob] = field(default_factory=list)
    logits: list[Tensor] = field(default_factory=list)
    broken: list[PrefillJob] = field(default_factory=list)


class PrefillQueue:
    """Jobs that wait, and the one that is half done."""

    def __init__(self, runner: ModelRunner, device: torch.device, texts: TokenTexts, budget: int, cells: int) -> None:
        """``budget``: tokens computed per step, padding included; ``cells``: rows x length of staging memory at most, in tokens."""
        self._runner = runner
        self._device = device
        self._texts = texts
        self._budget = budget
        self._cells = cells
        self._store = SlotStore(device)
        self._cache = SlotCache(self._store)
        self._waiting: deque[PrefillJob] = deque()
        self._partial: PrefillJob | None = None

    def __len__(self) -> int:
        return len(self._waiting) + (self._partial is not None)

    def append(self, job: PrefillJob) -> None:
        """A new prompt."""
        self._waiting.append(job)

    def resume(self, job: PrefillJob) -> None:
        """A choice that had to leave: it goes first."""
        self._waiting.appendleft(job)

    def drop(self, request: Request) -> None:
        """Forget all jobs of a request."""
        if self._partial is not None and self._partial.request is request:
            self._partial = None
            self._store.clear_row(0)
        if any(job.request is request for job in self._waiting):
            self._waiting = deque(job for job in self._waiting if job.request is not request)

    def advance(self, batch: RunningBatch) -> Prefilled:
        """Compute up to the budget and let what is whole join ``batch``."""
        done = Prefilled()
        budget = self._budget
        while budget > 0:
            group = self._next_group(batch, budget, first=budget == self._budget)
            if not group:
                break
            budget -= self._run(group, min(group[0].left, budget), batch, done)
        if self._partial is None and self._store.rows * self._store.length > _KEEP_CELLS:
            self._store.resize(0, 0)
        return done

    def _next_group(self, batch: RunningBatch, budget: int, first: bool) -> list[PrefillJob]:
        if self._partial is not None:
            return [self._partial]
        if not self._waiting or not self._admit(batch, [], self._waiting[0]):
            return []
        head = self._waiting[0]
        if head.left > budget and not first and budget < _LEAST_CHUNK:
            return []
        group = [self._waiting.popleft()]
        if head.left > budget or head.prompt_logprobs is not None:
            return group
        width = real = head.left
        while self._waiting:
            job = self._waiting[0]
            wider, cells = max(width, job.left), (len(group) + 1) * max(width, job.left)
            waste = cells - real - job.left
            if cells > budget or waste > max(_WASTE, real) or job.prompt_logprobs is not None:
                break
            if (len(group) + 1) * round_up(wider) > self._cells:
                break
            if not self._admit(batch, group, job):
                break
            width, real = wider, real + job.left
            group.append(self._waiting.popleft())
        return group

    def _admit(self, batch: RunningBatch, group: list[PrefillJob], job: PrefillJob) -> bool:
        """Whether the job's choices fit the batch beside those of ``group``. A job too large for an empty batch is cut in two."""
        taken = sum(len(other.choices) for other in group)
        longest = max([len(other.tokens) for other in group] + [len(job.tokens)])
        places = batch.places(longest) - taken
        if places >= len(job.choices):
            return True
        if places <= 0 or batch.choices or group:
            return False
        rest = PrefillJob(job.request, job.choices[places:], job.tokens)
        del job.choices[places:]
        self._waiting.insert(1, rest)
        return True

    def _run(self, group: list[PrefillJob], width: int, batch: RunningBatch, done: Prefilled) -> int:
        """One forward; the first job advances by ``width`` tokens, the others wholly. Gives back what it cost of the budget."""
        if group[0].prompt_logprobs is not None:
            width = min(width, _SCORED_CHUNK)
        sizes = [width, *(job.left for job in group[1:])]
        self._store.reserve(len(group), max(len(job.tokens) for job in group), self._cells)
        chunks = [
            Chunk(job.tokens[job.done : job.done + size], job.done, job.request.adapter)
            for job, size in zip(group, sizes, strict=True)
        ]
        logits = (
            self._score(group[0], chunks[0])
            if group[0].prompt_logprobs is not None
            else self._runner.prefill(self._cache, chunks)
        )
        for job, size in zip(group, sizes, strict=True):
            job.done += size
        self._partial = group[0] if group[0].left > 0 else None
        if self._partial is None:
            self._finish(group, logits, batch, done)
        return max(sizes) * len(group)

    def _finish(self, group: list[PrefillJob], logits: Tensor, batch: RunningBatch, done: Prefilled) -> None:
        finite: list[bool] = logits.amax(-1).isfinite().tolist()
        for row, job in enumerate(group):
            if not finite[row]:
                self._store.clear_row(row)
                done.broken.append(job)
                continue
            done.jobs.append(job)
            if job.choices[0].max_tokens > 0:
                batch.join(job.choices, self._store, row, len(job.tokens))
                # Rows of their own, because what is drawn from them changes them in place.
                done.logits.append(logits[row : row + 1].repeat(len(job.choices), 1))

    def _score(self, job: PrefillJob, chunk: Chunk) -> Tensor:
        """Compute a chunk and append the log probabilities of the tokens it predicts; logits after its last token."""
        logits = self._runner.prefill_all(self._cache, chunk)
        scored = job.prompt_logprobs
        if scored is None:
            raise RuntimeError("a prompt is scored that nobody wants scored")
        wanted = job.request.params.sampling.prompt_logprobs or 0
        if chunk.start == 0:
            scored.append(token_logprob(self._texts, job.tokens[0], None, wanted))
        targets = job.tokens[chunk.start + 1 : chunk.start + len(chunk.tokens) + 1]
        if targets:
            predicted = torch.log_softmax(logits[: len(targets)], dim=-1)
            rows = gather_logprobs(predicted, torch.tensor(targets, device=self._device), wanted)
            scored += [token_logprob(self._texts, token, row, wanted) for token, row in zip(targets, rows, strict=True)]
        return logits[-1:]
