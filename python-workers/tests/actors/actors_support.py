"""What tests of actors and tasks share."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twinkle_node.find_cli import find_cli

PACKAGE = Path(__file__).resolve().parents[2]
PATIENCE_S = 15.0


def eventually(holds: Callable[[], Any], what: str = "") -> Any:
    """Look until it holds; its value. For what the head does in its own time."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        value = holds()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {PATIENCE_S:g} s: {what or holds}")
        time.sleep(0.02)


def alive(pid: int) -> bool:
    """A process of that number runs, and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def status(home: str) -> dict[str, Any]:
    """What the head says of itself: ``work`` counts drivers, workers, actors, leases and the bytes of its store."""
    done = subprocess.run(
        [*find_cli(os.environ), "status", "--json", "--home", home], capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout.splitlines()[0])


def program(source: str, home: str, **env: str) -> subprocess.Popen[str]:
    """Another Python program, with ``twinkle_node`` to import and ``home`` as its home. Says lines on stdout."""
    path = os.pathsep.join((str(PACKAGE), *filter(None, (os.environ.get("PYTHONPATH"),))))
    return subprocess.Popen(
        [sys.executable, "-u", "-c", source],
        env={**os.environ, "PYTHONPATH": path, "TWINKLE_HOME": home, **env},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def said(process: subprocess.Popen[str]) -> str:
    """Its next line."""
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        process.wait()
        assert process.stderr is not None
        raise AssertionError(f"it ended with {process.returncode}: {process.stderr.read()}")
    return line.strip()


def end(process: subprocess.Popen[str]) -> str:
    """Its last words, when it has ended by itself."""
    out, err = process.communicate(timeout=30)
    assert process.returncode == 0, err
    return out
