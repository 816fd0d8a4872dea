"""vLLM's routes to sleep and to pause, for the mock engine: nothing is computed meanwhile. Knows no requests."""

from __future__ import annotations

import json
import threading

from ..protocol import HttpParams, HttpPart

ROUTES = ("/sleep", "/wake_up", "/is_sleeping", "/pause", "/resume")


class MockSleep:
    """asleep: whether memory would be away now; paused: whether nothing is computed; routes: that it has, all or none"""

    def __init__(self, sleep_ms: float) -> None:
        """``sleep_ms``: how long falling asleep and waking up take each; below 0 there is no such thing."""
        self._sleep_ms = sleep_ms
        self.asleep = False
        self.paused = False
        self.routes = list(ROUTES) if sleep_ms >= 0 else []

    def command(self, params: HttpParams) -> HttpPart:
        """Do as asked, and the whole answer to it. What runs is kept, whatever ``mode`` says; waking up ends a pause, too."""
        match params.path:
            case "/sleep" | "/wake_up":
                threading.Event().wait(self._sleep_ms / 1000)
                self.asleep = self.paused = params.path == "/sleep"
                state: dict[str, object] = {"status": "sleeping" if self.asleep else "awake"}
            case "/is_sleeping":
                state = {"is_sleeping": self.asleep}
            case _:
                self.paused = params.path == "/pause"
                state = {"status": "paused" if self.paused else "resumed"}
        return HttpPart(status=200, headers=[("content-type", "application/json")], body=json.dumps(state).encode())

    def check_awake(self, what: str) -> None:
        """Raises RuntimeError, which ends the rank as memory that is away would end vLLM's."""
        if self.asleep:
            raise RuntimeError(f"{what} while asleep")
