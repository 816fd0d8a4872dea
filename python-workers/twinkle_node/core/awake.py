"""Waiting for descriptors without falling asleep at once: most of a short round trip is waking up."""

from __future__ import annotations

import select
import time

AWAKE_S = 0.0001
"""So long a thread that waits for an answer looks again and again before it sleeps: then it costs nothing more."""


def await_events(epoll: select.epoll, timeout: float | None, awake: bool) -> list[tuple[int, int]]:
    """As ``epoll.poll``; ``awake``: look for a moment first. ``timeout``: seconds; None: for ever."""
    if awake and (timeout is None or timeout > AWAKE_S):
        end = time.perf_counter() + AWAKE_S
        poll = epoll.poll
        while True:
            events = poll(0)
            if events:
                return events
            if time.perf_counter() > end:
                break
    return epoll.poll(-1 if timeout is None else max(timeout, 0.0))
