"""Runs a command and ends it when the process that asked for it is gone, however it went. A script of its own: it imports nothing of ours.

``python guard.py FD [--remove FOLDER]... COMMAND...``: FD is the read end of a pipe whose only writer is that process. Its end of file
asks the command to end (SIGTERM, which lets running requests finish), later again, and at last kills it. Should this process be killed,
the command gets SIGTERM from the kernel. FOLDERs go when the command has ended. Exits with the command's code, or 128 and its signal.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import subprocess
import sys
import threading

PR_SET_PDEATHSIG = 1
PATIENCE_S = 90.0
"""After which a command that was asked to end is asked again; a third of it later it is killed."""


def main() -> int:
    lifeline = int(sys.argv[1])
    command, folders = sys.argv[2:], []
    while command[0] == "--remove":
        folders.append(command[1])
        command = command[2:]
    libc = ctypes.CDLL(None)  # before the fork: nothing is imported in the child

    def tie() -> None:
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)

    # One thread until here, which lives as long as this process: the signal is tied to it.
    child = subprocess.Popen(command, preexec_fn=tie)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: child.terminate())
    threading.Thread(target=_watch, args=(lifeline, child), daemon=True).start()
    code = child.wait()
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)
    return 128 - code if code < 0 else code


def _watch(lifeline: int, child: subprocess.Popen[bytes]) -> None:
    os.read(lifeline, 1)
    asks = ((child.terminate, PATIENCE_S), (child.terminate, PATIENCE_S / 3), (child.kill, None))
    for ask, patience in asks:
        ask()
        try:
            child.wait(patience)
        except subprocess.TimeoutExpired:
            continue
        return


if __name__ == "__main__":
    sys.exit(main())
