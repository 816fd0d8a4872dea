"""A server of twinkle-node as a child process: started with a configuration, heard until it is ready, ended in order."""

from __future__ import annotations

import atexit
import json
import os
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any, TextIO

from .errors import TwinkleError, server_error

GUARD = Path(__file__).with_name("guard.py")


class ServerProcess:
    """It ends with this process, however that ends. ``url`` is where it answers once ``wait_ready`` has returned."""

    def __init__(
        self, command: Sequence[str], config: Mapping[str, Any] | str, env: Mapping[str, str], out: TextIO | None
    ) -> None:
        """Start ``command``, which is ``serve`` or ``launch`` and its flags, with ``config`` as its file: what is in it, or its path.

        ``out`` takes what the server says to people; None: nobody.
        """
        self.url: str | None = None
        self._out = out
        self._said: deque[str] = deque(maxlen=30)
        self._error: TwinkleError | None = None
        self._ready = threading.Event()
        self._ended = threading.Event()
        read_end, self._lifeline = os.pipe()
        guard = [sys.executable, "-I", "-S", str(GUARD), str(read_end)]
        try:
            # A session of its own: Ctrl-C at the terminal is for us, and we ask the server to end.
            self._process = subprocess.Popen(
                [*guard, *command, "--json", "--config", config if isinstance(config, str) else "-"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                pass_fds=(read_end,),
                env=dict(env),
                start_new_session=True,
            )
        finally:
            os.close(read_end)
        events, said, written = self._process.stdout, self._process.stderr, self._process.stdin
        if events is None or said is None or written is None:
            raise AssertionError("all three are pipes")
        atexit.register(self.close)
        os.register_at_fork(after_in_child=self._leave_to_parent)
        listener = threading.Thread(target=self._listen, args=(said,), daemon=True)
        listener.start()
        threading.Thread(target=self._follow, args=(events, listener), daemon=True).start()
        try:
            if not isinstance(config, str):
                written.write(json.dumps(config, indent=1).encode())
            written.close()
        except BrokenPipeError:
            pass  # it has ended already: `wait_ready` says why

    @property
    def pid(self) -> int:
        """Of the process that guards the server."""
        return self._process.pid

    @property
    def running(self) -> bool:
        return not self._ended.is_set()

    def wait_ready(self) -> str:
        """Wait until every model is ready. Returns the url. Raises TwinkleError with what the server said."""
        self._ready.wait()
        if self.url is None:
            self._ended.wait()
            self.close()
            raise self._error or self._lost()
        return self.url

    def wait(self) -> None:
        """Wait for the end of the server. Raises TwinkleError when it was not asked to end."""
        self._ended.wait()
        if self._error is not None:
            raise self._error

    def close(self) -> None:
        """End the server: running requests finish first. Returns when no process is left. Idempotent."""
        if self._lifeline >= 0:
            lifeline, self._lifeline = self._lifeline, -1
            os.close(lifeline)
        self._process.wait()
        self._ended.wait()
        atexit.unregister(self.close)

    def hurry(self) -> None:
        """To a server that was asked to end: running requests are cut. Does not wait."""
        self._process.terminate()

    def _leave_to_parent(self) -> None:
        """A child made by fork has no part in the server: its copy of the lifeline would keep it alive."""
        if self._lifeline >= 0:
            os.close(self._lifeline)
            self._lifeline = -1
        atexit.unregister(self.close)

    def _follow(self, events: IO[bytes], listener: threading.Thread) -> None:
        """Hear what the server tells programs, to its end."""
        for line in events:
            event = _parse(line)
            if event.get("event") == "ready":
                self.url = str(event.get("url"))
                self._ready.set()
            elif event.get("event") == "error":
                self._error = server_error(event)
        code = self._process.wait()
        listener.join()
        if code != 0 and self._error is None and self._lifeline >= 0:
            self._error = self._lost()
        self._ended.set()
        self._ready.set()

    def _listen(self, said: IO[bytes]) -> None:
        for line in said:
            text = line.decode("utf-8", "replace")
            self._said.append(text)
            if self._out is not None:
                self._out.write(text)
                self._out.flush()

    def _lost(self) -> TwinkleError:
        last = "".join(self._said).strip() or "it said nothing"
        code = self._process.returncode
        return TwinkleError("INTERNAL", f"the server ended with code {code}: {last}", exit_code=code)


def _parse(line: bytes) -> dict[str, Any]:
    """An event; anything else that a program on the way (npx) may have written is none."""
    try:
        event = json.loads(line)
    except ValueError:
        return {}
    return event if isinstance(event, dict) else {}
