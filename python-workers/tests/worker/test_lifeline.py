"""The death pipe: when its writer closes, the whole process group dies, even while native code holds the interpreter."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

CHILD = """
import ctypes, os, sys
from twinkle_worker.lifeline import watch_death_pipe
watch_death_pipe(int(sys.argv[1]), thread=sys.argv[2] == "thread")
grandchild = os.fork()
if grandchild:
    print(grandchild, flush=True)
# Holds the GIL for ever: no Python thread of this process runs again.
ctypes.PyDLL(None).pause()
"""


@pytest.mark.parametrize("mode", ["kernel", "thread"])
def test_group_dies_with_the_writer(mode: str) -> None:
    reader, writer = os.pipe()
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(reader), mode],
        pass_fds=[reader],
        stdout=subprocess.PIPE,
        text=True,
        process_group=0,
    )
    os.close(reader)
    assert child.stdout is not None
    grandchild = os.pidfd_open(int(child.stdout.readline()))
    os.close(writer)
    assert child.wait(timeout=10) == -signal.SIGKILL
    import select

    ready, _, _ = select.select([grandchild], [], [], 10)
    assert ready, "the grandchild outlived the group"
    os.close(grandchild)
    child.stdout.close()
