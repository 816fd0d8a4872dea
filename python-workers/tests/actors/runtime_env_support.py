"""What tests of ``runtime_env`` share: tiny wheels, and heads of their own."""

from __future__ import annotations

import os
import subprocess
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from twinkle_node.find_cli import find_cli


def wheel(folder: Path, version: str, name: str = "rt_demo") -> Path:
    """A wheel of one module, whose ``VERSION`` says which it is."""
    path = folder / f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version}.dist-info"
    files = {
        f"{name}/__init__.py": f"VERSION = {version!r}\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": f"[console_scripts]\n{name} = {name}:main\n",
    }
    with zipfile.ZipFile(path, "w") as packed:
        for file, text in files.items():
            packed.writestr(file, text)
        packed.writestr(f"{info}/RECORD", "".join(f"{file},,\n" for file in (*files, f"{info}/RECORD")))
    return path


def started_head(home: Path, **env: str) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [*find_cli(os.environ), "start", "--head", "--block", "--json", "--home", str(home), "--num-cpus", "2"],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **env},
    )
    assert process.stdout is not None
    assert "ready" in process.stdout.readline()
    return process


StartHead = Callable[..., subprocess.Popen[str]]
"""(home, **variables) → its process, which is ready."""


@contextmanager
def heads() -> Iterator[StartHead]:
    """Starts heads. Those that are left end with it."""
    started: list[subprocess.Popen[str]] = []

    def start(home: Path, **env: str) -> subprocess.Popen[str]:
        started.append(started_head(home, **env))
        return started[-1]

    yield start
    for one in started:
        one.terminate()
        one.wait()
