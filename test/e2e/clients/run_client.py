"""``python run_client.py SCRIPT ARGUMENT…`` runs a client's script, and leaves without tearing Python down.

Threads of the SDK and of torch may abort the process while the interpreter ends (one time in some dozens, with no Python
frame left), when the script has done all it had to do: that says nothing of the server that is tested.
"""

from __future__ import annotations

import atexit
import os
import runpy
import sys
import threading
import traceback


def main() -> int:
    """The exit code of the script."""
    script, *sys.argv[1:] = sys.argv[1:]
    sys.argv[0] = script
    sys.path[0] = os.path.dirname(os.path.abspath(script))
    try:
        runpy.run_path(script, run_name="__main__")
    except SystemExit as end:
        if isinstance(end.code, int):
            return end.code
        if end.code is not None:
            print(end.code, file=sys.stderr)
        return int(end.code is not None)
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


if __name__ == "__main__":
    code = main()
    threading._shutdown()  # type: ignore[attr-defined]  # as at any end: what the SDK still has to say is said
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
