"""Gangs for tests: ranks forked from one process that has imported vLLM, driven by a vLLM engine in the test's own process.

Run as a script it is that process: it forks a rank for each message on the socket that it is given, and tells how ranks end.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from twinkle_worker.beat import Pulse
from twinkle_worker.tensors import Segments

ROOT = Path(__file__).resolve().parents[2]
MODEL = str(ROOT / "demo_model" / "model")
ENVIRONMENT = {
    "TORCHDYNAMO_DISABLE": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "VLLM_HOST_IP": "127.0.0.1",
    "GLOO_SOCKET_IFNAME": "lo",
    "OMP_NUM_THREADS": "1",
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    "VLLM_LOGGING_LEVEL": "WARNING",
}


class Nursery:
    """The process that forks ranks."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._socket = ours
        self._process = subprocess.Popen(
            [sys.executable, __file__, str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            env={**os.environ, **ENVIRONMENT, "PYTHONPATH": str(ROOT)},
        )
        theirs.close()

    def fork(self, launch: dict[str, Any], log: str, fds: list[int]) -> int:
        """A rank with ``fds``: its link, and the listening socket for rank 0. Returns its pid."""
        socket.send_fds(self._socket, [json.dumps({"launch": launch, "log": log}).encode()], fds)
        return int(json.loads(self._socket.recv(1 << 16)))

    def wait(self, pid: int) -> int:
        """How the rank ended, as waitpid's exit code: negative for a signal."""
        self._socket.send(json.dumps({"wait": pid}).encode())
        return int(json.loads(self._socket.recv(1 << 16)))

    def close(self) -> None:
        """End the process and with it every rank."""
        self._socket.close()
        self._process.wait(20)


@dataclass
class TestGang:
    """Ranks, the engine's ends of their links, and for each a pipe that stands for Node's socket."""

    __test__ = False

    nursery: Nursery
    size: int
    epoch: int = 1
    pids: list[int] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)
    wakes: list[int] = field(default_factory=list)
    waited: set[int] = field(default_factory=set)
    shared: list[tuple[str, int, int]] = field(default_factory=list)
    """Segments that the ranks attach before they load: name, descriptor, size in bytes."""

    def __enter__(self) -> TestGang:
        self.folder = tempfile.TemporaryDirectory()
        listener = socket.create_server(("127.0.0.1", 0))
        for rank in range(self.size):
            ours, theirs = socket.socketpair()
            launch = {
                **{"instance": "test", "gang": "demo/0", "epoch": self.epoch, "rank": rank, "local_rank": rank},
                **{"world_size": self.size, "role": "rank", "endpoint": "", "curve": None, "identity": f"r{rank}"},
                **{"engine": "vllm", "env": {}, "death_fd": -1, "pass_fd": -1},
                **{"shared": [[name, size] for name, _, size in self.shared]},
                **{"master_addr": "127.0.0.1", "master_port": listener.getsockname()[1]},
            }
            node, wake = os.pipe()
            fds = [
                theirs.fileno(),
                node,
                *(fd for _, fd, _ in self.shared),
                *([listener.fileno()] if rank == 0 else []),
            ]
            self.pids.append(self.nursery.fork(launch, self.log(rank), fds))
            self.wakes.append(wake)
            os.close(node)
            theirs.close()
            self.ends.append(ours.detach())
        listener.close()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for pid in self.pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            if pid not in self.waited:
                self.nursery.wait(pid)
        for wake in self.wakes:
            os.close(wake)
        if error is not None:
            for rank in range(self.size):
                print(f"--- rank {rank}\n{Path(self.log(rank)).read_text()[-6000:]}")
        self.folder.cleanup()

    def wait(self, rank: int) -> int:
        """The exit code of a rank that ends by itself; negative for a signal."""
        self.waited.add(self.pids[rank])
        return self.nursery.wait(self.pids[rank])

    def log(self, rank: int) -> str:
        """Path of what the rank printed."""
        return f"{self.folder.name}/{rank}.log"

    def said(self, rank: int, what: str) -> list[str]:
        """What the rank printed behind ``what``: PHASE of its load, TURN of its loop, NODE for bytes on the pipe."""
        lines = Path(self.log(rank)).read_text().splitlines()
        return [line.split()[1] for line in lines if line.startswith(what)]


def make_engine(gang: TestGang | None, **options: Any) -> Any:
    """vLLM's own LLMEngine over the gang; over a worker in this process without one."""
    from vllm import EngineArgs
    from vllm.v1.engine.llm_engine import LLMEngine

    from twinkle_worker.engines.vllm.executor import LinkExecutor, bind_gang
    from twinkle_worker.engines.vllm.gang import Gang

    settings = {
        **{"model": MODEL, "dtype": "float32", "enforce_eager": True, "max_model_len": 256, "max_num_seqs": 8},
        **{"kv_cache_memory_bytes": 64 << 20, "seed": 0, "disable_log_stats": True, **options},
    }
    if gang is not None:
        bind_gang(Gang(gang.ends))
        settings["distributed_executor_backend"] = LinkExecutor
    engine = LLMEngine.from_engine_args(EngineArgs(**settings))
    if gang is not None:
        executor_of(engine).finish_start()
    return engine


def executor_of(engine: Any) -> Any:
    """The executor of an engine whose core is in this process."""
    return engine.engine_core.engine_core.model_executor


def greedy(engine: Any, prompts: list[str], tokens: int = 12) -> list[list[int]]:
    """Greedy token ids for each prompt."""
    from vllm import SamplingParams

    for index, prompt in enumerate(prompts):
        engine.add_request(str(index), prompt, SamplingParams(temperature=0.0, max_tokens=tokens, ignore_eos=True))
    done: dict[str, list[int]] = {}
    while engine.has_unfinished_requests():
        for output in engine.step():
            if output.finished:
                done[output.request_id] = list(output.outputs[0].token_ids)
    return [done[str(index)] for index in range(len(prompts))]


def attached(shared: list[tuple[str, int, int]]) -> Segments:
    """A process's view of segments, passed as Node passes them."""
    ours, theirs = socket.socketpair()
    segments = Segments(theirs.detach())
    for name, fd, size in shared:
        socket.send_fds(ours, [json.dumps({"segment": name}).encode() + b"\n"], [fd])
        segments.attach(name, size)
    ours.close()
    return segments


def leftovers() -> set[str]:
    """Names in shared memory and in the folder for temporary files."""
    places = (Path("/dev/shm"), Path(tempfile.gettempdir()))
    return {str(path) for place in places for path in place.iterdir() if not path.name.startswith("pytest")}


class _ToldPulse(Pulse):
    def turn(self, phase: str) -> None:
        super().turn(phase)
        print("TURN", phase, flush=True)


def _run_rank(launch: dict[str, Any], log: str, fds: list[int]) -> None:
    out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(out, 1)
    os.dup2(out, 2)
    import msgspec

    from twinkle_worker.engines.vllm.worker import VllmRank
    from twinkle_worker.protocol import LaunchSpec, LoadParams

    node = fds[1]
    os.set_blocking(node, False)
    shared = launch.pop("shared")
    listener = fds[2 + len(shared)] if launch["rank"] == 0 else -1
    spec = msgspec.convert({**launch, "link_fds": fds[:1], "listen_fd": listener}, LaunchSpec)
    rank = VllmRank(spec)
    rank.use_segments(attached([(name, fd, size) for (name, size), fd in zip(shared, fds[2:], strict=False)]))
    rank.attach(node, _ToldPulse())
    card = rank.load(
        LoadParams(MODEL, {}), lambda phase, fraction, detail: print("PHASE", phase, fraction, detail, flush=True)
    )
    print("CARD", card, flush=True)
    while rank.has_work():
        rank.step()
        try:
            print("NODE", os.read(node, 1).decode(), flush=True)
        except BlockingIOError:
            pass
    rank.close()


def _nurse(fd: int) -> None:
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)
    import vllm.v1.worker.cpu_worker
    import vllm.v1.worker.worker_base  # noqa: F401

    import twinkle_worker.engines.vllm.commands
    import twinkle_worker.engines.vllm.executor  # noqa: F401

    control = socket.socket(fileno=fd)
    while True:
        data, fds, _, _ = socket.recv_fds(control, 1 << 16, 8)
        if not data:
            os._exit(0)
        message = json.loads(data)
        if "wait" in message:
            answer = os.waitstatus_to_exitcode(os.waitpid(message["wait"], 0)[1])
        else:
            answer = os.fork()
            if answer == 0:
                code = 1
                try:
                    ctypes.CDLL(None).prctl(1, signal.SIGKILL)
                    control.close()
                    _run_rank(message["launch"], message["log"], fds)
                    code = 0
                except SystemExit as end:
                    code = end.code if isinstance(end.code, int) else 1
                except BaseException:
                    traceback.print_exc()
                finally:
                    sys.stdout.flush()
                    os._exit(code)
            for given in fds:
                os.close(given)
        control.send(json.dumps(answer).encode())


if __name__ == "__main__":
    _nurse(int(sys.argv[1]))
