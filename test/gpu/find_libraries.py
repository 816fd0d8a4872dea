"""Prints the CUDA runtime and NCCL that torch's wheels bring, as lines of shell: they are not on the loader's path."""

from __future__ import annotations

import shlex
import site
import sys
from pathlib import Path

WANTED = {"TWINKLE_CUDART_LIBRARY": "libcudart.so.1*", "TWINKLE_NCCL_LIBRARY": "libnccl.so.2"}


def main() -> None:
    """A library that is not there has no line; the addon then says what it tried."""
    roots = [Path(folder) / "nvidia" for folder in {*sys.path, *site.getsitepackages()} if folder != ""]
    for variable, pattern in WANTED.items():
        found = sorted(path for root in roots if root.is_dir() for path in root.glob(f"*/lib/{pattern}"))
        if found:
            print(f"export {variable}={shlex.quote(str(found[-1]))}")


if __name__ == "__main__":
    main()
