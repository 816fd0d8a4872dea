"""Interrupts the task that runs in the main thread, without breaking what it holds in its hands.

A signal's handler runs between any two steps of Python, also between reading a frame and noting it. So it raises only in the
program's own code, and where this package does nothing but wait; elsewhere the signal comes again a moment later.
"""

from __future__ import annotations

import signal
import threading
import time
from collections import OrderedDict
from types import FrameType

AGAIN_S = 0.01
MOST_EARLY = 256

_PACKAGE = __name__.rpartition(".")[0] + "."
_WAITS = _PACKAGE + "pump"
_SLEEPS = _PACKAGE + "awake"
_CALLS = _PACKAGE + "run_call"


class Interrupted(KeyboardInterrupt):
    """What a task that is cancelled sees. As in Ray it is a KeyboardInterrupt: ``except Exception`` lets it pass."""


class Interrupts:
    """``cancel`` is called in any thread, ``begin`` and ``end`` in the main thread."""

    def __init__(self) -> None:
        self._main = threading.main_thread().ident or 0
        self._lock = threading.Lock()
        self._running = ""
        self._meant = ""
        self._early: OrderedDict[str, None] = OrderedDict()
        signal.signal(signal.SIGINT, self._handle)

    def cancel(self, ref: str) -> bool:
        """Interrupt the task with that result; one that has not begun will not begin. Returns whether it runs."""
        with self._lock:
            if self._running != ref:
                self._remember(ref)
                return False
            self._meant = ref
        threading.Thread(target=self._insist, args=(ref,), name="twinkle-interrupt", daemon=True).start()
        return True

    def begin(self, ref: str) -> None:
        """From here to ``end`` that task can be interrupted. Raises Interrupted when it was cancelled before."""
        with self._lock:
            if self._early and ref in self._early:
                del self._early[ref]
                raise Interrupted
            self._running = ref

    def end(self) -> None:
        with self._lock:
            if self._meant:
                self._remember(self._meant)  # it came too late for this step: a generator has others
            self._running = self._meant = ""

    def _remember(self, ref: str) -> None:
        self._early[ref] = None
        while len(self._early) > MOST_EARLY:
            self._early.popitem(last=False)  # most likely it was over

    def _insist(self, ref: str) -> None:
        while self._meant == ref:
            signal.pthread_kill(self._main, signal.SIGINT)  # also ends a sleep or a read
            time.sleep(AGAIN_S)

    def _handle(self, _number: int, frame: FrameType | None) -> None:
        if self._meant and self._meant == self._running and _may_raise(frame):
            self._meant = ""  # once: what the task does then is its own affair
            raise Interrupted


def _may_raise(frame: FrameType | None) -> bool:
    while frame is not None:
        module = frame.f_globals.get("__name__", "")
        if module == _SLEEPS:
            pass  # on behalf of who called it
        elif module.startswith(_PACKAGE):
            if module == _CALLS:
                return True
            return module == _WAITS and frame.f_code.co_name in _WAITING
        frame = frame.f_back
    return False


_WAITING = ("_turn", "_take_over")
