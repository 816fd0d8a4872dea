"""``python -m twinkle_worker.fetch_model ORG/NAME``: has ModelScope's library find a model in its cache, or fetch it; prints the folder."""

from __future__ import annotations

import importlib
import sys


def folder_of(name: str) -> str:
    """The folder of a model: from the cache if it is whole there, else from the hub. Raises what the library raises."""
    snapshot_download = importlib.import_module("modelscope").snapshot_download
    try:
        return snapshot_download(name, local_files_only=True)
    except Exception:  # whatever the library's version calls it: it is not there, or not whole
        return snapshot_download(name)


def main() -> None:
    """Print the folder; else end with 1 and the reason as the last line of stderr."""
    try:
        folder = folder_of(sys.argv[1])
    except ImportError:
        sys.exit(f"this Python has no modelscope: {sys.executable} -m pip install modelscope")
    except Exception as error:
        sys.exit(f"{type(error).__name__}: {error}")
    print(folder)


if __name__ == "__main__":
    main()
