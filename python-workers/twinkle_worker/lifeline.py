"""The death pipe: a rank never outlives the Node process that holds the other end.

Two ways, because one alone has a hole. The kernel signals the process group itself when the last writer closes (``F_SETSIG`` with
SIGKILL), which works even while native code holds the GIL; a thread that reads the pipe covers kernels without it.
"""

from __future__ import annotations

import fcntl
import os
import signal
import threading


def watch_death_pipe(fd: int, thread: bool = True) -> None:
    """SIGKILL this process group when the pipe ``fd`` reaches end of file.

    The caller must lead its process group. ``thread=False`` leaves the kernel's signal alone: for a process that will fork.
    """
    os.set_inheritable(fd, False)
    try:
        fcntl.fcntl(fd, fcntl.F_SETOWN, -os.getpgid(0))
        fcntl.fcntl(fd, fcntl.F_SETSIG, signal.SIGKILL)
        fcntl.fcntl(fd, fcntl.F_SETFL, fcntl.fcntl(fd, fcntl.F_GETFL) | os.O_ASYNC)
    except (OSError, AttributeError):
        pass  # the thread below, or the control socket of a template, still notices
    if thread:
        threading.Thread(target=_wait_for_end, args=(fd,), name="death-pipe", daemon=True).start()


def _wait_for_end(fd: int) -> None:
    while os.read(fd, 1):
        pass
    os.killpg(0, signal.SIGKILL)
