"""``run``, ``shutdown`` and what stands between them: one server at a time belongs to this process."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Mapping
from types import TracebackType
from typing import Any, TextIO

from ..find_cli import find_cli
from ..server_process import ServerProcess
from .application import Application
from .flags import flags
from .interpreter import own_interpreter
from .plain import plain


class Handle:
    """A server that runs. ``with serve.run(app) as handle:`` ends it at the end of the block."""

    def __init__(self, name: str, process: ServerProcess, url: str) -> None:
        self.name = name
        self.url = url
        """Where it answers: OpenAI clients take ``url + "/v1"``."""
        self._process = process

    @property
    def running(self) -> bool:
        return self._process.running

    @property
    def pid(self) -> int:
        """Of the process that guards the server."""
        return self._process.pid

    def wait(self) -> None:
        """Until the server ends. Raises TwinkleError when it was not asked to."""
        self._process.wait()

    def shutdown(self) -> None:
        """End it; running requests finish first. Idempotent."""
        self._process.close()

    def __enter__(self) -> Handle:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.shutdown()


_lock = threading.Lock()
_current: Handle | None = None
_http: dict[str, Any] = {}


def start(http_options: Mapping[str, Any] | None = None) -> None:
    """Say where the next ``run`` listens: ``host`` and ``port``. Starts nothing yet."""
    options = plain(dict(http_options or {}), "http_options")
    others = sorted(set(options) - {"host", "port"})
    if others:
        raise ValueError(f"http_options takes host and port and not {', '.join(others)}")
    _http.clear()
    _http.update(options)


def run(
    target: Application,
    *,
    blocking: bool = False,
    name: str = "default",
    route_prefix: str = "/",
    out: TextIO | None = None,
    quiet: bool = False,
    **options: Any,
) -> Handle:
    """Serve an application; returns when its models are ready. A server that ``run`` started before is ended first.

    blocking: return only when the server ends; Ctrl-C ends it
    route_prefix: only ``/``
    out: takes progress and warnings; None: standard error
    quiet: nobody takes them
    options: those of ``twinkle-node serve``, with underscores: ``port=0``, ``python="…"``, ``no_auth=True``

    Raises ConfigError (a ValueError) or TwinkleError with the server's words; nothing runs then.
    """
    global _current
    if not isinstance(target, Application):
        raise TypeError(f"expected what build_openai_app returns but received {type(target).__name__}")
    if route_prefix != "/":
        raise ValueError(f"expected / for route_prefix but received {route_prefix!r}: routes are where OpenAI has them")
    ears = None if quiet else (out or sys.stderr)
    words, secrets = flags({**_http, **options})
    env = {**os.environ, **secrets}
    if "python" not in options and not env.get("TWINKLE_PYTHON"):
        own = own_interpreter(target.config)
        words += [] if own is None else [f"--python={own}"]
    with _lock:
        if _current is not None:
            _current.shutdown()
            _current = None
        process = ServerProcess([*find_cli(env), "serve", *words], target.config, env, ears)
        try:
            handle = _current = Handle(name, process, process.wait_ready())
        except BaseException:
            process.close()
            raise
    try:
        if ears is not None:
            print(f"ready {handle.url}", file=ears, flush=True)
        if blocking:
            handle.wait()
    except KeyboardInterrupt:
        handle.shutdown()
        if not blocking:
            raise
    return handle


def shutdown() -> None:
    """End the server that ``run`` started, if any; running requests finish first."""
    global _current
    with _lock:
        if _current is not None:
            _current.shutdown()
            _current = None


def delete(name: str) -> None:
    """The same, if it runs under that name. Raises ValueError when nothing does."""
    if _current is None or _current.name != name:
        raise ValueError(f"no application {name!r} runs")
    shutdown()
