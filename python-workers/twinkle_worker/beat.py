"""Signs of life from beside the main loop: the process lives, and what its main loop has been doing for how long."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from .channel import Channel
from .protocol import Beat, EngineStats

log = logging.getLogger("twinkle_worker")


class Pulse:
    """What the main loop last did. Written by the loop, read by the beat thread: plain stores, no lock."""

    def __init__(self) -> None:
        self.phase = "start"
        self.turned = time.monotonic()

    def turn(self, phase: str) -> None:
        """The main loop is alive and about to do ``phase``."""
        self.phase = phase
        self.turned = time.monotonic()


def start_beating(
    connect: Callable[[], Channel], interval_ms: int, pulse: Pulse, stats: Callable[[], EngineStats | None]
) -> None:
    """Send a Beat every ``interval_ms`` from a daemon thread with a socket of its own (sockets are not thread-safe)."""

    def beat() -> None:
        channel = connect()
        pause = threading.Event()
        seq = 0
        while True:
            busy = 0.0 if pulse.phase == "idle" else (time.monotonic() - pulse.turned) * 1000
            channel.send(Beat(seq=seq, phase=pulse.phase, busy_ms=busy, stats=_seen(stats)))
            seq += 1
            pause.wait(interval_ms / 1000)

    threading.Thread(target=beat, name="beat", daemon=True).start()


def _seen(stats: Callable[[], EngineStats | None]) -> EngineStats | None:
    """Statistics read beside a running step may be torn; an engine that trips over that is alive all the same."""
    try:
        return stats()
    except Exception:  # whatever it is: without this thread the rank would be taken for dead
        log.debug("no statistics in this beat", exc_info=True)
        return None
