"""A worker: a process that the node service forked, which runs tasks one after another, or is an actor."""

from __future__ import annotations

import mmap
import os
import select
import socket
import sys
from collections import deque
from typing import TYPE_CHECKING, Any, NoReturn

import msgspec

from . import protocol
from .awake import await_events
from .borrowed import opened
from .client import Client, set_current
from .context import Context, set_context
from .execute import Execution
from .exiting import ActorExit, leave
from .forks import begin_worker, end_child, leave_at_fork
from .import_path import import_path
from .interrupt import Interrupts
from .printed import Printed
from .protocol import (
    WORK_PROTOCOL,
    ActorBorn,
    Assign,
    Dial,
    Invoke,
    Join,
    Kept,
    Lend,
    Returned,
    Setup,
    ToWorker,
    Withdraw,
)
from .runtime_env import Inherited
from .stored import error_value
from .stream import Stream
from .wire import frame
from .writer import Writer

if TYPE_CHECKING:
    from twinkle_worker.protocol import LaunchSpec

    from .runners import Runner

_decode = msgspec.msgpack.Decoder(ToWorker).decode


def run(launch: LaunchSpec) -> int:
    """The whole life of a worker. Returns the exit code of its process."""
    from twinkle_worker.lifeline import watch_death_pipe

    watch_death_pipe(launch.death_fd)
    os.environ.update(launch.env)
    Worker(launch).main()


class Caller:
    """The connection of one caller."""

    def __init__(self, sock: socket.socket, worker: Worker) -> None:
        self._worker = worker
        self.client = -1
        self.relieve = lambda: worker.writer.relieve(self.stream)
        """Wait while it is too slow to take what was sent. Not in a thread that others wait for."""
        self.portable = False
        self.stream = Stream(sock, worker, self._heard, self._ended)
        self.lent: dict[int, mmap.mmap | OSError] = {}
        """Memory of the caller in which arguments may lie."""
        self._returned: deque[int] = deque()
        self.custody: dict[int, deque[Any]] = {}
        """References in results that the caller has not taken over yet: for each reply of a call, in their order."""

    def _heard(self, head: memoryview, body: memoryview) -> None:
        said = _decode(head)
        if isinstance(said, Invoke):
            self._worker.invoked(self, said, bytes(body))
        elif isinstance(said, Withdraw):
            self._worker.withdrawn(self, said.id)
        elif isinstance(said, Kept):
            self._kept(said.id)
        elif isinstance(said, Lend):
            try:
                self.lent[said.scratch] = opened(said)
            except OSError as error:  # of the calls that need it, not of the connection
                self.lent[said.scratch] = error
        elif isinstance(said, Dial):
            if said.protocol != WORK_PROTOCOL or said.instance != self._worker.instance:
                self.stream.end("it is of another cluster or version")
            self.client, self.portable = said.client, said.portable

    def give_back(self, number: int) -> None:
        """What was lent for that call is not read any more. Anywhere, in any thread: takes no lock."""
        self._returned.append(number)
        self._worker.owes(self)

    def settle(self) -> None:
        """Tell the caller what it has back."""
        ids = []
        while self._returned:
            ids.append(self._returned.popleft())
        if ids:
            self.stream.send(frame(Returned(ids)))

    def _kept(self, number: int) -> None:
        waiting = self.custody.get(number)
        if waiting:
            waiting.popleft()
        if not waiting:
            self.custody.pop(number, None)

    def _ended(self, _reason: str) -> None:
        self.custody.clear()
        self._worker.caller_gone(self)


class Worker:
    """The main thread accepts callers, reads what they ask, and runs it, or gives it to who does."""

    def __init__(self, launch: LaunchSpec) -> None:
        begin_worker()
        leave_at_fork(self)
        self.instance = launch.instance
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(launch.endpoint)
        os.chmod(launch.endpoint, 0o600)
        self._listener.listen(1024)
        self._listener.setblocking(False)
        self._path = launch.endpoint
        self._callers: dict[int, Caller] = {}
        self.writer = Writer()
        self._epoll = select.epoll()
        self._kick = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._epoll.register(self._kick, select.EPOLLIN)
        self._told: deque[tuple[str, Any, bytes]] = deque()
        self._owing: deque[Caller] = deque()  # they have something back that they do not know of
        self._runs = False
        self._runner: Runner | None = None
        self._interrupts = Interrupts()
        self._name = "task"
        hello = Join(WORK_PROTOCOL, "worker", os.getpid(), launch.endpoint, sys.executable, [], os.getcwd(), "")
        control = socket.socket(fileno=launch.pass_fd)
        self.client = Client(control, hello, self._heard)
        set_current(self.client)

    def main(self) -> NoReturn:
        """Until the node service is gone, which ends this process."""
        while True:
            self._turn(None)

    def leave_to_parent(self) -> None:
        """See Shared of forks."""
        self._listener.close()
        self._epoll.close()

    # ---- of callers ----

    def want_write(self, fd: int, wanted: bool) -> None:
        """See Watcher of stream."""
        caller = self._callers.get(fd)
        if caller is not None:
            self.writer.want_write(caller.stream, wanted)

    def invoked(self, caller: Caller, invoke: Invoke, body: bytes) -> None:
        if self._runner is not None:
            self._runner.submit(Execution(self.client, caller, invoke, body))

    def withdrawn(self, caller: Caller, number: int) -> None:
        if self._runner is not None:
            self._runner.withdraw(caller, number)

    def caller_gone(self, caller: Caller) -> None:
        fd = caller.stream.fileno()
        if self._callers.pop(fd, None) is not None:
            self._epoll.unregister(fd)

    def owes(self, caller: Caller) -> None:
        """It has something back. Takes no lock."""
        self._owing.append(caller)
        if not self._runs:  # else the main thread comes by
            os.eventfd_write(self._kick, 1)

    def settle(self) -> None:
        """Tell callers what they have back. In the main thread."""
        while self._owing:
            self._owing.popleft().settle()

    def fileno(self) -> int:
        """Readable when somebody has something to say."""
        return self._epoll.fileno()

    def poll(self) -> None:
        """Take in what has come, without waiting."""
        self._turn(0)

    # ---- of the node ----

    def _heard(self, method: str, params: Any, body: memoryview) -> None:
        """In the thread that pumps."""
        if method == "ended":
            os._exit(0)  # nobody can reach this process any more
        if method == "interrupt":
            self._interrupt(params)
            return
        self._told.append((method, params, bytes(body)))
        os.eventfd_write(self._kick, 1)

    def _interrupt(self, told: dict[str, Any]) -> None:
        is_actor = told.get("actor") is not None
        runs = not is_actor and self._interrupts.cancel(told["ref"])
        if told.get("recursive") and (runs or is_actor):
            self.client.calls.cancel_children(told["ref"], told["force"])
        if runs and told["force"]:
            os._exit(1)

    def _turn(self, timeout: float | None) -> None:
        for fd, _ in await_events(self._epoll, timeout, self._runner is not None):
            if fd == self._kick:
                self._obey()
            elif fd == self._listener.fileno():
                self._accept()
            else:
                caller = self._callers.get(fd)
                if caller is None:
                    continue
                caller.stream.readable()
        if self._runner is not None and timeout is None:
            self._runs = True
            self._runner.run(self)
            self._runs = False
            self.settle()  # after that: whoever saw it run has noted its own before

    def _accept(self) -> None:
        try:
            sock, _ = self._listener.accept()
        except (BlockingIOError, InterruptedError):
            return
        caller = Caller(sock, self)
        self._callers[caller.stream.fileno()] = caller
        self._epoll.register(caller.stream.fileno(), select.EPOLLIN)

    def _obey(self) -> None:
        try:
            os.eventfd_read(self._kick)
        except BlockingIOError:
            return
        self.settle()
        while self._told:
            method, params, body = self._told.popleft()
            if method == "setup":
                self._set_up(msgspec.convert(params, Setup))
            elif method == "assign":
                self._become(msgspec.convert(params, Assign), body)

    def _set_up(self, setup: Setup) -> None:
        from .runners import SerialRunner

        os.environ.update(setup.env)
        sys.path[:] = import_path(setup, sys.path, os.getcwd())
        if setup.first_path:
            before = filter(None, [os.environ.get("PYTHONPATH")])
            os.environ["PYTHONPATH"] = os.pathsep.join([*setup.first_path, *before])
        try:
            os.chdir(setup.cwd)
        except OSError:
            pass  # on another box it may not be there
        self.client.namespace = setup.namespace
        if setup.env_vars or setup.runtime_env:
            self.client.inherited = Inherited(setup.env_vars or {}, setup.runtime_env)
        sys.stdout = Printed(sys.stdout, lambda lines: self._printed(lines, False))
        sys.stderr = Printed(sys.stderr, lambda lines: self._printed(lines, True))
        set_context(Context(self.client.joined, setup, namespace=setup.namespace))
        self._runner = SerialRunner(None, self.client, self._interrupts)
        self._epoll.register(self._listener, select.EPOLLIN)

    def _printed(self, lines: list[str], error: bool) -> None:
        self.client.link.tell("printed", protocol.Printed(self._name, lines, error))

    def _become(self, assign: Assign, body: bytes) -> None:
        from .birth import born, suited
        from .runners import runner_of

        self._name = assign.spec.cls_name
        try:
            spec, facts = suited(self.client, assign.spec)
            instance = born(self.client, msgspec.structs.replace(assign, spec=spec), body)
        except ActorExit as end:
            leave(end)
        except BaseException as error:
            end_child(error)
            cause, parts = error_value(error, f"the constructor of {assign.spec.cls_name}")
            self.client.link.tell("actor.born", ActorBorn(assign.actor, assign.epoch, cause), parts)
            return
        end_child()
        self._runner = runner_of(instance, spec, self.client)
        self.client.link.tell("actor.born", ActorBorn(assign.actor, assign.epoch, None, **facts))
        self._runner.serve(self)
