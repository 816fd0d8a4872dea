"""Loads and unloads adapters while the engine runs: commands are taken in order, files are read on another thread, and what was read is
installed between two steps. Knows nothing of how rows are computed."""

from __future__ import annotations

import os
import select
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass

from ...protocol import HttpParams, HttpPart
from ..adapter_routes import (
    AdapterCommand,
    AdapterRefusal,
    UnloadAdapter,
    answer,
    loaded_already,
    not_loaded,
    parse_command,
    refusal,
    unknown_adapter,
)
from ..base import StepItem
from .adapter import Adapter, Weights
from .model_lora import ModelLora


@dataclass(slots=True, eq=False)
class _Job:
    """command: or why there is none; reading: of the files of a load, once begun"""

    stream: int
    command: AdapterCommand | AdapterRefusal
    reading: Future[Weights] | None = None


class AdapterDesk:
    """The loaded adapters by name, and the commands that wait. One thread calls it."""

    def __init__(self, lora: ModelLora) -> None:
        self._lora = lora
        self._loaded: dict[str, Adapter] = {}
        self._jobs: deque[_Job] = deque()
        self._reader: ThreadPoolExecutor | None = None
        self._told: tuple[int, int] | None = None

    def get(self, name: str) -> Adapter:
        """A loaded adapter. Raises RequestError."""
        found = self._loaded.get(name)
        if found is None:
            raise unknown_adapter(name)
        return found

    @property
    def busy(self) -> bool:
        """Whether a command waits for its answer."""
        return bool(self._jobs)

    def add(self, stream: int, params: HttpParams) -> None:
        """Queue a command. Raises RequestError for a path that is none."""
        try:
            command: AdapterCommand | AdapterRefusal = parse_command("transformers", params)
        except AdapterRefusal as error:
            command = error
        self._jobs.append(_Job(stream, command))

    def abort(self, stream: int) -> None:
        """Nobody waits for the answer any more: what is not done is not done at all. Unknown streams are fine."""
        self._jobs = deque(job for job in self._jobs if job.stream != stream)

    def turn(self, items: list[StepItem]) -> None:
        """Do what can be done without waiting; append the answers."""
        if self._jobs and self._told is not None:
            with suppress(BlockingIOError):
                os.read(self._told[0], 4096)
        while self._jobs:
            job = self._jobs[0]
            try:
                part = self._advance(job)
                if part is None:
                    return
                items += [(job.stream, part), (job.stream, None)]
            except AdapterRefusal as error:
                items += [(job.stream, refusal(error)), (job.stream, None)]
            except Exception as error:  # that command's trouble only
                items.append((job.stream, error))
            self._jobs.popleft()

    def wait(self, wake_fd: int | None) -> None:
        """Block until files have been read, or ``wake_fd`` is readable, which is not read."""
        if self._jobs and self._told is not None:
            poll = select.poll()
            for fd in (self._told[0], wake_fd):
                if fd is not None:
                    poll.register(fd, select.POLLIN)
            poll.poll()

    def close(self) -> None:
        """Wait for the thread and end it."""
        self._jobs.clear()
        if self._reader is not None:
            self._reader.shutdown(cancel_futures=True)
        for fd in self._told or ():
            os.close(fd)
        self._reader = self._told = None

    def _advance(self, job: _Job) -> HttpPart | None:
        """The answer; None: not yet. Raises AdapterRefusal."""
        command = job.command
        if isinstance(command, AdapterRefusal):
            raise command
        known = self._loaded.get(command.name)
        if isinstance(command, UnloadAdapter):
            if known is None:
                raise not_loaded(command.name)
            self._lora.forget(self._loaded.pop(command.name))
            return answer(command)
        if job.reading is None:
            if known is not None and not command.in_place:
                raise loaded_already(command.name)
            if command.is_3d:
                raise AdapterRefusal(
                    "is_3d_lora_weight is for fused experts, which have no LoRA in this engine", "is_3d_lora_weight"
                )
            job.reading = self._begin(command.path)
        if not job.reading.done():
            return None
        weights = job.reading.result()
        self._lora.install(weights)
        if known is None:
            self._loaded[command.name] = Adapter(command.name, weights)
        else:
            known.weights = weights
            self._lora.forget(known)
        return answer(command)

    def _begin(self, path: str) -> Future[Weights]:
        if self._reader is None or self._told is None:
            self._reader, self._told = ThreadPoolExecutor(1, "adapters"), os.pipe()
            os.set_blocking(self._told[0], False)
        tell = self._told[1]
        reading = self._reader.submit(self._lora.reader(path))
        reading.add_done_callback(lambda _: os.write(tell, b"."))
        return reading
