"""Signs of life from beside the main loop: the process lives, and what its main loop has been doing for how long."""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Callable

from .channel import Channel
from .protocol import Beat, EngineStats

log = logging.getLogger("twinkle_worker")

_LONG_MS = 1000.0
"""A loop that has not turned for so long may wait for another process."""

_MEETINGS = ("/torch/distributed/", "/vllm/distributed/", "/twinkle_worker/rendezvous.py")
"""Where the code is in which ranks wait for each other."""


class Pulse:
    """What the main loop last did. Written by the loop, read by the beat thread: plain stores, no lock."""

    def __init__(self) -> None:
        self.phase = "start"
        self.turned = time.monotonic()
        self.waits: str | None = None

    def turn(self, phase: str) -> None:
        """The main loop is alive and about to do ``phase``."""
        self.phase = phase
        self.turned = time.monotonic()
        self.waits = None

    def wait(self, whom: str) -> None:
        """The phase goes on, but it is others who work: say whom the loop waits for."""
        self.waits = whom


def start_beating(
    connect: Callable[[], Channel], interval_ms: int, pulse: Pulse, stats: Callable[[], EngineStats | None]
) -> None:
    """Send a Beat every ``interval_ms`` from a daemon thread with a socket of its own (sockets are not thread-safe).

    To be called by the thread of the main loop.
    """
    loop = threading.get_ident()

    def beat() -> None:
        channel = connect()
        pause = threading.Event()
        seq = 0
        while True:
            phase = pulse.phase
            busy = 0.0 if phase == "idle" else (time.monotonic() - pulse.turned) * 1000
            waits = pulse.waits or (_meeting(loop) if busy >= _LONG_MS else None)
            channel.send(Beat(seq=seq, phase=phase, busy_ms=busy, waits=waits, stats=_seen(stats)))
            seq += 1
            pause.wait(interval_ms / 1000)

    threading.Thread(target=beat, name="beat", daemon=True).start()


def _meeting(thread: int) -> str | None:
    """The collective operation that ``thread`` is inside of, by its innermost function with a name that says so."""
    frame = sys._current_frames().get(thread)
    while frame is not None:
        code = frame.f_code
        if any(place in code.co_filename for place in _MEETINGS):
            return code.co_name
        frame = frame.f_back
    return None


def _seen(stats: Callable[[], EngineStats | None]) -> EngineStats | None:
    """Statistics read beside a running step may be torn; an engine that trips over that is alive all the same."""
    try:
        return stats()
    except Exception:  # whatever it is: without this thread the rank would be taken for dead
        log.debug("no statistics in this beat", exc_info=True)
        return None
