"""``launch_server``: a Twinkle Server that belongs to this process, until it ends."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import FrameType
from typing import Any, NoReturn, TextIO

from ..find_cli import find_cli
from ..serve.flags import flags
from ..serve.plain import plain
from ..server_process import ServerProcess


def launch_server(
    *,
    config_path: str | os.PathLike[str] | None = None,
    config: Mapping[str, Any] | None = None,
    ray_namespace: str | None = None,
    out: TextIO | None = None,
    quiet: bool = False,
    **options: Any,
) -> None:
    """Serve what a file describes; returns when the server has ended.

    Ctrl-C and SIGTERM end it: running requests finish first, and a second one cuts them. It ends with this process, too, however that goes.

    config_path: the YAML file of a Twinkle Server; a relative path, as those in the file, counts from the working folder
    config: the same as a mapping, instead
    ray_namespace: over the file's
    out: takes progress and warnings; None: standard error
    quiet: nobody takes them
    options: those of ``twinkle-node launch``, with underscores: ``port=0``, ``log_level="INFO"``

    Raises ValueError unless one of config_path and config is given, TypeError for a config that is no mapping, ConfigError (a ValueError)
    or TwinkleError with the server's words.
    """
    file = _file(config_path, config)
    ears = None if quiet else (out or sys.stderr)
    words, secrets = flags({"namespace": ray_namespace, **options})
    env = {**os.environ, **secrets}
    command = [*find_cli(env), "launch", *words]
    with _terminable():
        try:
            process = ServerProcess(command, file, env, ears)
        except (KeyboardInterrupt, _Terminated):
            return
        try:
            url = process.wait_ready()
            if ears is not None:
                print(f"ready {url}", file=ears, flush=True)
            process.wait()
        except (KeyboardInterrupt, _Terminated):
            pass
        finally:
            _end(process)


def _file(config_path: str | os.PathLike[str] | None, config: Mapping[str, Any] | None) -> Mapping[str, Any] | str:
    if (config_path is None) == (config is None):
        given = "neither" if config is None else "both"
        raise ValueError(f"expected one of config_path and config but received {given}")
    if config_path is not None:
        return os.fspath(config_path)
    if not isinstance(config, Mapping):
        raise TypeError(f"expected a mapping for config but received {type(config).__name__}")
    return plain(config, "config")


def _end(process: ServerProcess) -> None:
    try:
        process.close()
    except (KeyboardInterrupt, _Terminated):
        process.hurry()
        process.close()


class _Terminated(BaseException):
    """SIGTERM came."""


@contextmanager
def _terminable() -> Iterator[None]:
    """SIGTERM is an exception meanwhile, unless somebody else wants it. Handlers can be set in the main thread only."""
    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGTERM) != signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, _terminated)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _terminated(number: int, frame: FrameType | None) -> NoReturn:
    raise _Terminated
