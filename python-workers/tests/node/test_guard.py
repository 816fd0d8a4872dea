"""What the guard does with a command that will not end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading

import pytest

from twinkle_node import guard

DEAF = """\
import signal
signal.signal(signal.SIGTERM, lambda *_: print("asked", flush=True))
print("up", flush=True)
while True: signal.pause()
"""


def test_a_command_that_does_not_hear_is_asked_again_and_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "PATIENCE_S", 0.6)
    child = subprocess.Popen([sys.executable, "-c", DEAF], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert child.stdout.readline() == "up\n"
    read_end, write_end = os.pipe()
    watcher = threading.Thread(target=guard._watch, args=(read_end, child), daemon=True)
    watcher.start()
    os.close(write_end)
    deadline = threading.Timer(10, child.kill)  # reading ends, whatever the guard does
    deadline.start()
    try:
        said = [child.stdout.readline(), child.stdout.readline()]
        assert said == ["asked\n", "asked\n"]
        assert child.wait(timeout=10) == -signal.SIGKILL
    finally:
        deadline.cancel()
        child.kill()
        watcher.join()
        os.close(read_end)
