"""Sends what callers were too slow to take at once, while the main thread of a worker runs their calls."""

from __future__ import annotations

import select
import threading

from .stream import Stream


class Writer:
    """Thread-safe. Its thread begins with the first caller that is slow."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._streams: dict[int, Stream] = {}
        self._wrote = threading.Condition()
        self._thread: threading.Thread | None = None

    def want_write(self, stream: Stream, wanted: bool) -> None:
        """See Watcher of stream, which calls this with its lock in hand."""
        fd = stream.fileno()
        try:
            if wanted:
                self._streams[fd] = stream
                self._epoll.register(fd, select.EPOLLOUT)
            else:
                self._streams.pop(fd, None)
                self._epoll.unregister(fd)
        except OSError:
            pass  # it is watched already, or its end has taken it out
        if wanted and self._thread is None:
            self._thread = threading.Thread(target=self._run, name="twinkle-writer", daemon=True)
            self._thread.start()

    def relieve(self, stream: Stream) -> None:
        """Wait while too much waits to be sent. Not for who reads for it."""
        if stream.crowded:
            with self._wrote:
                self._wrote.wait_for(lambda: not stream.crowded or stream.ended)

    def _run(self) -> None:
        while True:
            for fd, _ in self._epoll.poll():
                stream = self._streams.get(fd)
                if stream is not None:
                    stream.writable()
            with self._wrote:
                self._wrote.notify_all()
