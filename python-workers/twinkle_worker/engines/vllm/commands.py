"""What a rank does with the engine's calls: vLLM's worker, and answers from two threads so that the device is never waited for twice."""

from __future__ import annotations

import logging
import os
import pickle
import queue
import threading
import traceback
from collections.abc import Callable
from functools import partial
from typing import Any

import cloudpickle
import torch
from vllm.envs import enable_envs_cache
from vllm.platforms import current_platform
from vllm.v1.executor.vllm_net_devices import set_worker_net_device
from vllm.v1.outputs import AsyncModelRunnerOutput
from vllm.v1.worker.worker_base import WorkerWrapperBase

from ...protocol import LaunchSpec
from .frames import (
    ANSWER,
    FAILED,
    FIND_WEIGHTS,
    FINISH_LOAD,
    FORGET_NAMES,
    INIT_WORKER,
    PROFILE_RUN,
    TIMED_METHODS,
    WRITE_WEIGHTS,
)
from .link import Frame, Link, LinkClosed
from .payload import decode, encode
from .rank_weights import RankWeights
from .world import forget_names, init_method, join_world, keep_sockets_beside

log = logging.getLogger(__name__)


class Commands:
    """Runs calls on this process's worker and answers them."""

    def __init__(self, launch: LaunchSpec, link: Link, weights: RankWeights) -> None:
        self._launch = launch
        self._link = link
        self._worker: WorkerWrapperBase | None = None
        self._unresolved: queue.SimpleQueue[tuple[int, str, AsyncModelRunnerOutput]] = queue.SimpleQueue()
        self._resolver: threading.Thread | None = None
        self.steps = 0
        self._own = {
            INIT_WORKER: self._init_worker,
            FINISH_LOAD: self._finish_load,
            FORGET_NAMES: lambda: forget_names(launch),
            PROFILE_RUN: lambda: self.worker.model_runner.profile_run(),
            FIND_WEIGHTS: lambda source: weights.find(self.worker, source),
            WRITE_WEIGHTS: lambda source: weights.write(self.worker, source),
        }

    @property
    def worker(self) -> WorkerWrapperBase:
        """vLLM's worker. Raises RuntimeError before the engine has had it made."""
        if self._worker is None:
            raise RuntimeError("the engine has not made a worker of this rank yet")
        return self._worker

    def run(self, frame: Frame, turn: Callable[[str], None]) -> None:
        """Carry a call out and answer it. Exceptions are answered, whoever was to answer. Raises LinkClosed.

        turn: told what begins: ``step``, or the name of another method.
        """
        name, seq = "a call", frame.seq
        try:
            method, args, kwargs, ranks = decode(frame.body)
            name = method if isinstance(method, str) else "a function"
            self.steps += name == "execute_model"
            turn("step" if name in TIMED_METHODS else name.lstrip("@"))
            value = self._function(method)(*args, **kwargs)
        except Exception as error:
            log.exception("rank %d failed in %s", self._launch.rank, name)
            self._fail(seq, error)
            return
        if ranks is not None and self._launch.rank not in ranks:
            self._link.finish()
            return
        if isinstance(value, AsyncModelRunnerOutput):
            self._resolve_later(seq, name, value)
        else:
            # The engine has sent the sampling already: it does not wait for this None, which travels with the tokens.
            self._answer(seq, name, value, hold=value is None and name == "execute_model" and self._link.has_frame())

    def close(self) -> None:
        """Shut the worker down."""
        worker, self._worker = self._worker, None
        if worker is not None:
            worker.shutdown()

    def _function(self, method: str | bytes) -> Any:
        if isinstance(method, bytes):
            return partial(cloudpickle.loads(method), self.worker)
        own = self._own.get(method)
        return own if own is not None else getattr(self.worker, method)

    def _answer(self, seq: int, name: str, value: Any, hold: bool = False) -> None:
        try:
            body = encode(value)
        except Exception as error:  # a value without a pickle
            log.error("the answer to %s cannot be sent: %s", name, error)
            self._fail(seq, error)
            return
        self._link.post(ANSWER, seq, body)
        if not hold:
            self._link.finish()

    def _fail(self, seq: int, error: Exception) -> None:
        text = "".join(traceback.format_exception(error))
        self._link.send(FAILED, seq, encode((type(error).__name__, str(error), text)))

    # The second thread

    def _resolve_later(self, seq: int, name: str, output: AsyncModelRunnerOutput) -> None:
        if self._resolver is None:
            self._resolver = threading.Thread(target=self._resolve, name="outputs", daemon=True)
            self._resolver.start()
        self._unresolved.put((seq, name, output))

    def _resolve(self) -> None:
        """Wait for the device's outputs and answer with them, while the first thread launches the next step."""
        device = getattr(self.worker, "device", None)
        if device is not None:
            current_platform.set_device(device)  # a thread begins on device 0, where it would make a context of its own
        while True:
            seq, name, output = self._unresolved.get()
            try:
                value = output.get_output()
            except Exception as error:
                log.exception("rank %d failed in %s", self._launch.rank, name)
                answer = partial(self._fail, seq, error)
            else:
                answer = partial(self._answer, seq, name, value)
            try:
                answer()
            except LinkClosed:
                return  # the first thread notices, too, and ends the rank

    # Commands of our own

    def _init_worker(self, config: bytes) -> None:
        launch = self._launch
        vllm_config = pickle.loads(config)
        parallel = vllm_config.parallel_config
        if current_platform.is_cpu() and "OMP_NUM_THREADS" not in os.environ:
            torch.set_num_threads(max(1, len(os.sched_getaffinity(0)) // launch.world_size))
        keep_sockets_beside(launch)
        set_worker_net_device(launch.local_rank, vllm_config)
        wrapper = WorkerWrapperBase(rpc_rank=launch.rank, global_rank=launch.rank)
        mine = {
            "vllm_config": vllm_config,
            "local_rank": launch.local_rank,
            "rank": launch.rank,
            "distributed_init_method": init_method(launch),
            "is_driver_worker": launch.rank % parallel.tensor_parallel_size == 0,
            "shared_worker_lock": None,
        }
        wrapper.init_worker([mine if rank == launch.rank else {} for rank in range(launch.world_size)])
        # The worker's class is the platform's, and brings the backend that its devices meet by (HCCL comes with Ascend's).
        join_world(launch, getattr(parallel, "distributed_timeout_seconds", None))
        self._worker = wrapper

    def _finish_load(self) -> None:
        current_platform.update_block_size_for_backend(self.worker.vllm_config)
        enable_envs_cache()
