"""The head that a program joins: one that runs on this box, or one of its own, which ends with it."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ..errors import ConfigError, TwinkleError
from ..find_cli import find_cli
from ..server_process import GUARD

MAX_OUTPUT = 4_000
LEAST_STORE = 1 << 20


class FoundHead(NamedTuple):
    """``socket``: where programs join."""

    home: Path
    socket: str


def home_folder(written: str | None) -> Path:
    """As the command line has it: what is written, else TWINKLE_HOME, else the default."""
    return Path(written or os.environ.get("TWINKLE_HOME") or "~/.twinkle-node").expanduser().absolute()


def find_head(home: str | None) -> FoundHead | None:
    """The head that runs with this home folder and takes programs."""
    folder = home_folder(home)
    for path in sorted((folder / "instances").glob("*.json")):
        try:
            facts = json.loads(path.read_text())
        except (OSError, ValueError):
            continue
        if not isinstance(facts, dict):
            continue
        if facts.get("kind") in ("head", "agent") and facts.get("workSocket") and _runs(facts):
            return FoundHead(folder, facts["workSocket"])
    return None


def connect_to(head: FoundHead) -> socket.socket:
    """Raises TwinkleError ``HEAD_UNREACHABLE``."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.connect(head.socket)
    except OSError as error:
        sock.close()
        raise TwinkleError("HEAD_UNREACHABLE", f"the head of {head.home} does not answer: {error.strerror}") from error
    return sock


def _store_bytes(memory: float) -> int:
    """Raises ConfigError."""
    if isinstance(memory, bool) or not isinstance(memory, int | float) or memory != memory // 1 or memory < LEAST_STORE:
        message = (
            f"expected bytes from {LEAST_STORE}, a whole number, for `object_store_memory` but received {memory!r}"
        )
        raise ConfigError("CONFIG_INVALID", message)
    return int(memory)


def _folder_in(directory: str) -> str:
    """One that nobody else has. Raises ConfigError."""
    try:
        os.makedirs(directory, exist_ok=True)
        return tempfile.mkdtemp(prefix="twinkle-", dir=directory)
    except OSError as error:
        message = f"cannot make a folder in `object_spilling_directory` {directory}: {error.strerror}; give another one"
        raise ConfigError("CONFIG_INVALID", message) from error


def _runs(facts: dict[str, Any]) -> bool:
    """Whether the process that wrote the file still runs: its pid alone may be another's by now."""
    try:
        stat = Path(f"/proc/{facts.get('pid')}/stat").read_text()
    except OSError:
        return False
    after_name = stat.rpartition(")")[2].split()
    return after_name[19] == facts.get("pidStart") and after_name[0] not in "ZX"


class LocalHead:
    """Started with a home of its own; ends with this process, however that ends."""

    def __init__(
        self,
        num_cpus: int | None,
        num_gpus: int | None,
        env: Mapping[str, str],
        store_memory: float | None = None,
        spill_directory: str | None = None,
    ) -> None:
        """Returns when it is ready. Raises TwinkleError with what it said, ConfigError."""
        store_bytes = None if store_memory is None else _store_bytes(store_memory)
        cli = find_cli(os.environ)
        self._process: subprocess.Popen[bytes] | None = None
        self._home = tempfile.mkdtemp(prefix="twinkle-")
        read_end, self._lifeline = os.pipe()
        flags = ["--home", self._home]
        if num_cpus is not None:
            flags += ["--num-cpus", str(num_cpus)]
        if num_gpus is not None:
            flags += ["--num-gpus", str(num_gpus)]
        guard = [sys.executable, "-I", "-S", str(GUARD), str(read_end), "--remove", self._home]
        if store_bytes is not None:
            flags += ["--object-store-memory", str(store_bytes)]
        self._spill = None if spill_directory is None else _folder_in(spill_directory)
        if self._spill is not None:
            flags += ["--object-spill-dir", self._spill]
            guard += ["--remove", self._spill]
        self._log = tempfile.TemporaryFile("w+", errors="replace")  # noqa: SIM115 it lives as long as this
        try:
            self.found = self._started([*guard, *cli, "start", "--head", "--block", "--json", *flags], env, read_end)
        except BaseException:  # an interrupt, too, must leave nothing behind
            self.close()
            raise

    def _started(self, command: list[str], env: Mapping[str, str], read_end: int) -> FoundHead:
        try:
            # A session of its own: Ctrl-C at the terminal is for this program, which then ends the head.
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=self._log,
                pass_fds=(read_end,),
                env={**os.environ, **env},
                start_new_session=True,
            )
        except OSError as error:
            raise TwinkleError("HEAD_UNREACHABLE", f"a head could not be started: {error}") from error
        finally:
            os.close(read_end)
        os.register_at_fork(after_in_child=self._leave_to_parent)
        stdout = self._process.stdout
        line = stdout.readline() if stdout is not None else b""
        found = find_head(self._home) if b'"ready"' in line else None
        if found is None:
            self._end()  # it may say why only at its end
            raise TwinkleError("HEAD_UNREACHABLE", f"a head could not be started: {self._said()}")
        return found

    def close(self) -> None:
        """End it; returns when nothing of it is left. Idempotent."""
        self._end()
        self._log.close()
        for folder in (self._home, self._spill):
            if folder is not None:
                shutil.rmtree(folder, ignore_errors=True)

    def _end(self) -> None:
        if self._lifeline >= 0:
            os.close(self._lifeline)
            self._lifeline = -1
        if self._process is not None:
            self._process.wait()
            if self._process.stdout is not None:
                self._process.stdout.close()

    def _leave_to_parent(self) -> None:
        """A fork has no part in it: its copy of the lifeline would keep the head alive."""
        if self._lifeline >= 0:
            os.close(self._lifeline)
            self._lifeline = -1

    def _said(self) -> str:
        self._log.seek(0)
        return self._log.read()[-MAX_OUTPUT:].strip() or "it said nothing"
