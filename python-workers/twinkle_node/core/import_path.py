"""Where a worker looks for modules: in what it was given, then where its program does, each before what it has less to do with."""

from __future__ import annotations

import os
from collections.abc import Sequence

from .protocol import Setup


def import_path(setup: Setup, own: Sequence[str], started_in: str) -> list[str]:
    """``own``: of this interpreter. ``started_in``: the folder of its template, which Python has put there and nobody asked for."""
    first = setup.first_path or ()
    if setup.runtime_env is None or not setup.runtime_env.packages:
        return list(dict.fromkeys((*first, *setup.sys_path, *own)))
    # The installed packages of the program come after those of the environment, or an old version would hide a new one.
    program: list[str] = []
    installed: list[str] = []
    for entry in setup.sys_path:
        # What follows them, and is not Python's own, .pth files have put there, or the program itself, at the end.
        late = _is_site(entry) or (installed and entry not in own)
        (installed if late else program).append(entry)
    between = [entry for entry in own if entry != started_in and entry not in installed]
    return list(dict.fromkeys((*first, *program, *between, *installed)))


def _is_site(entry: str) -> bool:
    return os.path.basename(entry) in ("site-packages", "dist-packages")
