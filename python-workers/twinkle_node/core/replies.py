"""Replies of a worker on their way to its callers: several in one write while calls wait, but none later than a moment."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .worker import Caller

BATCH_BYTES = 1 << 16
BATCH_S = 0.001
"""So long a reply may wait for others."""


class Replies:
    """Thread-safe. Replies to one caller keep their order."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._frames: dict[Caller, list[bytes]] = {}
        self._bytes = 0
        self._begun = threading.Event()
        self._thread: threading.Thread | None = None

    def add(self, caller: Caller, reply: bytes, more_come: bool) -> None:
        """``more_come``: another call waits, so that another reply may follow at once. Or may not: it is sent soon in any case."""
        with self._lock:
            first = not self._frames
            self._frames.setdefault(caller, []).append(reply)
            self._bytes += len(reply)
            if not more_come or self._bytes > BATCH_BYTES:
                self._send()
                return
        if first:
            # The next call may take hours, and whoever waits for this reply must not.
            if self._thread is None:
                self._thread = threading.Thread(target=self._send_soon, name="twinkle-replies", daemon=True)
                self._thread.start()
            self._begun.set()

    def flush(self) -> None:
        """Send what waits."""
        with self._lock:
            self._send()

    def _send(self) -> None:
        # With the lock in hand, or a later reply could be sent first. It does not block: what cannot be sent is kept by the stream.
        frames, self._frames = self._frames, {}
        self._bytes = 0
        for caller, replies in frames.items():
            caller.stream.send(replies[0] if len(replies) == 1 else b"".join(replies))

    def _send_soon(self) -> None:
        while True:
            self._begun.wait()
            self._begun.clear()
            time.sleep(BATCH_S)
            self.flush()
