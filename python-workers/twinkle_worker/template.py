"""The warm pool's template: an interpreter that has imported the engine's libraries once and forks ranks on request.

Single threaded and device free, or a fork would be unsafe. It answers on its control socket with one JSON line a message; requests come
as a JSON line with descriptors beside it (SCM_RIGHTS). It is the parent of the ranks, so it reports how they end.
"""

from __future__ import annotations

import ctypes
import gc
import os
import select
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable

import msgspec

from .engines import preload
from .lifeline import watch_death_pipe
from .protocol import ForkRequest, LaunchSpec, TemplateMessage

Program = Callable[[LaunchSpec], int]
"""Runs a process to its end; returns its exit code."""


class Template:
    """The control loop."""

    def __init__(self, control_fd: int, death_fd: int, program: Program) -> None:
        self._program = program
        self._death_fd = death_fd
        self._control = socket.socket(fileno=control_fd)
        self._poll = select.poll()
        self._poll.register(self._control, select.POLLIN)
        self._children: dict[int, tuple[int, int]] = {}  # pidfd -> (request id, pid)
        self._pending = b""
        self._fds: list[int] = []

    def say(self, kind: str, request: int, **facts: int | str | None) -> None:
        """Send one message to Node."""
        empty: dict[str, int | str | None] = {
            "pid": 0,
            "code": None,
            "signal": None,
            "max_rss_kb": 0,
            "cpu_ms": 0,
            "detail": "",
        }
        message = msgspec.convert({"kind": kind, "id": request, **empty, **facts}, TemplateMessage)
        self._control.sendall(msgspec.json.encode(message) + b"\n")

    def run(self) -> None:
        """Serve until Node closes the control socket."""
        while True:
            for fd, _ in self._poll.poll():
                if fd != self._control.fileno():
                    self._reap(fd)
                elif not self._receive():
                    return

    def _receive(self) -> bool:
        data, fds, _, _ = socket.recv_fds(self._control, 1 << 16, 64)
        if not data:
            return False
        self._pending += data
        self._fds += fds
        while b"\n" in self._pending:
            line, self._pending = self._pending.split(b"\n", 1)
            request = msgspec.json.decode(line, type=ForkRequest)
            count = len(request.fds)
            given, self._fds = self._fds[:count], self._fds[count:]
            self._fork(request, list(zip(request.fds, given, strict=True)))
        return True

    def _fork(self, request: ForkRequest, fds: list[tuple[str, int]]) -> None:
        try:
            if threading.active_count() != 1:
                raise OSError(f"the template has {threading.active_count()} threads; fork is unsafe")
            pid = os.fork()
        except OSError as error:  # too many processes, too little memory: the next request may fare better
            for _, fd in fds:
                os.close(fd)
            self.say("failed", request.id, detail=f"fork: {error}")
            return
        if pid == 0:
            self._become_rank(request.launch, fds)
        # Both sides set the group, so that neither can act before it exists.
        try:
            os.setpgid(pid, pid)
        except OSError:
            pass  # the child was first, or is gone already
        for _, fd in fds:
            os.close(fd)
        pidfd = os.pidfd_open(pid)
        self._children[pidfd] = (request.id, pid)
        self._poll.register(pidfd, select.POLLIN)
        self.say("forked", request.id, pid=pid)

    def _become_rank(self, launch: LaunchSpec, given: list[tuple[str, int]]) -> None:
        code = 1
        try:
            os.setpgid(0, 0)
            fds = dict(given)
            self._control.close()
            # Neither the template's own nor what came for the next fork: a listening socket must have one owner.
            for fd in (*self._children, *self._fds, self._death_fd):
                os.close(fd)
            os.dup2(fds["stdout"], 1)
            os.dup2(fds["stderr"], 2)
            placed = msgspec.structs.replace(
                launch,
                death_fd=fds["death"],
                pass_fd=fds["pass"],
                listen_fd=fds.get("listen", -1),
                link_fds=[fd for name, fd in given if name == "link"],
            )
            code = self._program(placed)
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 1
        except BaseException as error:
            sys.excepthook(type(error), error, error.__traceback__)
        finally:
            try:
                sys.stdout.flush()
                sys.stderr.flush()
            finally:
                os._exit(code)

    def _reap(self, pidfd: int) -> None:
        request, pid = self._children.pop(pidfd)
        self._poll.unregister(pidfd)
        os.close(pidfd)
        _, status, usage = os.wait4(pid, 0)
        killed = os.WIFSIGNALED(status)
        self.say(
            "exit",
            request,
            pid=pid,
            code=None if killed else os.WEXITSTATUS(status),
            signal=os.WTERMSIG(status) if killed else None,
            max_rss_kb=usage.ru_maxrss,
            cpu_ms=int((usage.ru_utime + usage.ru_stime) * 1000),
        )


def main(control_fd: int, death_fd: int, engine: str, models: list[str]) -> int:
    """Preload, freeze, serve. Descriptors are inherited; returns the exit code."""
    watch_death_pipe(death_fd, thread=False)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    program = _program_of(engine)
    template = Template(control_fd, death_fd, program)
    started = time.monotonic()
    # Collections among imports find a few megabytes of garbage and take a fifth of their time.
    gc.disable()
    try:
        preload(engine, models)
    except Exception as error:
        template.say("failed", -1, detail=f"{type(error).__name__}: {error}")
        raise
    gc.freeze()
    gc.enable()
    _trim_heap()
    template.say("ready", -1, pid=os.getpid(), cpu_ms=int((time.monotonic() - started) * 1000))
    template.run()
    return 0


def _program_of(engine: str) -> Program:
    """What a fork becomes: a rank of a gang, or a worker of actors and tasks, which needs less. Imported here, before any fork."""
    if engine == "actors":
        from twinkle_node.core.worker import run

        return run
    from .rank import run_rank

    return run_rank


def _trim_heap() -> None:
    """Give freed pages of the imports back, so that no fork has to carry them."""
    try:
        ctypes.CDLL(None).malloc_trim(0)
    except (OSError, AttributeError):
        pass  # another libc: only memory is at stake


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4:]))
