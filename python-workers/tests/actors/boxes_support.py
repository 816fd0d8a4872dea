"""Two boxes on this machine: a head and an agent, each with a home, devices, a store and an environment of its own."""

from __future__ import annotations

import gc
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from actors_support import alive, eventually, program, status

import twinkle_node as tn
from twinkle_node.find_cli import find_cli
from twinkle_node.util.scheduling_strategies import NodeAffinitySchedulingStrategy

MB = 1 << 20
MARK = "BOXES_TEST_HOME"
"""A variable that all processes of a box have: its home."""


def at(node: str, soft: bool = False) -> NodeAffinitySchedulingStrategy:
    return NodeAffinitySchedulingStrategy(node, soft)


def processes(home: Path) -> list[int]:
    """Those of that box that run: by a variable that they inherit from its head or agent."""
    sought = f"{MARK}={home}".encode()
    found = []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit() or int(folder.name) == os.getpid():
            continue
        try:
            if sought in (folder / "environ").read_bytes().split(b"\0") and alive(int(folder.name)):
                found.append(int(folder.name))
        except OSError:
            continue
    return found


class Box:
    """Its home is short: paths of sockets are. ``flags``: of ``start``."""

    def __init__(self, name: str, devices: str, cpus: int, *flags: str, **env: str) -> None:
        self.home = Path(tempfile.mkdtemp(prefix=f"tw-{name}-"))
        self.flags = ["--home", str(self.home), "--num-cpus", str(cpus), *flags]
        cache = {"TWINKLE_CACHE": str(self.home / "cache"), "TWINKLE_PYTHON": sys.executable}
        self.env = {"TWINKLE_FAKE_DEVICES": devices, MARK: str(self.home), **cache, **env}
        self.node = ""
        self.pid = 0
        self.killed = False

    def cli(self, *words: str, **env: str) -> str:
        """What it says. Raises AssertionError with what it said of why it failed."""
        command = [*find_cli(os.environ), *words]
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=60, env={**os.environ, **self.env, **env}
        )
        assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
        return done.stdout

    def status(self) -> dict[str, Any]:
        return status(str(self.home))

    def store(self) -> dict[str, Any]:
        """Of this box: bytes and objects."""
        found: dict[str, Any] = self.status()["work"]["store"]
        return found

    def program(self, source: str, **env: str) -> subprocess.Popen[str]:
        """A driver on this box."""
        return program(source, str(self.home), **env)

    def kill(self) -> None:
        """SIGKILL of its head or agent."""
        os.kill(self.pid, signal.SIGKILL)
        self.killed = True
        eventually(lambda: not alive(self.pid))

    def others(self) -> list[int]:
        """Its processes beside the head or agent: workers, and what starts them."""
        return [pid for pid in processes(self.home) if pid != self.pid]

    def stop(self) -> None:
        self.cli("stop", "--all", "--home", str(self.home))

    def left(self) -> list[str]:
        """What a box that has ended should not have left. Files of one that was killed go when the next starts in its home."""
        if self.killed:
            return [*map(str, processes(self.home))]
        sockets = [str(path) for path in self.home.rglob("*") if path.is_socket()]
        kept = [str(path) for name in ("instances", "code", "spill") for path in (self.home / name).glob("*")]
        return [*sockets, *kept, *map(str, processes(self.home))]

    def remove(self) -> None:
        """However it is: nothing of it stays."""
        for pid in processes(self.home):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        eventually(lambda: not processes(self.home))
        shutil.rmtree(self.home, ignore_errors=True)


class Boxes:
    """``head`` and ``agent``. ``here``: the box of this process's driver; ``there``: the other."""

    def __init__(self, *flags: str, of_agent: tuple[str, ...] | None = None) -> None:
        self.head = Box("h", "gpu:2", 4, *flags)
        self.agent = Box("a", "gpu:4", 4, *(flags if of_agent is None else of_agent))
        self.here, self.there = self.head, self.agent
        self._line: list[str] = []
        self._port = 0

    def start_head(self) -> None:
        """Again at the same port, if it ran before."""
        said = self.head.cli(
            *("start", "--head", "--port", str(self._port), "--node-ip-address", "127.0.0.1", "--json"),
            *self.head.flags,
        )
        ready = json.loads(said)
        self.head.pid, self.head.killed = ready["pid"], False
        self._line = shlex.split(ready["join"])
        self._port = int(ready["address"].rpartition(":")[2])
        self.head.node = self.head.node or self.nodes()[0]["id"]

    def start_agent(self, agent: Box | None = None) -> None:
        """``agent``: another than the one."""
        box = agent or self.agent
        assert self._line[:2] == ["npx", "twinkle-node"]
        ready = json.loads(box.cli(*self._line[2:], "--json", *box.flags))
        box.pid, box.killed = ready["pid"], False
        box.node = ready["node"]

    def nodes(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(
            self.head.cli("list", "nodes", "--json", "--home", str(self.head.home))
        )
        return found

    def alive(self) -> list[str]:
        """Nodes that the head counts on, and hears."""
        return sorted(node["id"] for node in self.nodes() if node["state"] == "alive")

    def whole(self) -> bool:
        """Both boxes are there."""
        return self.alive() == sorted((self.head.node, self.agent.node))

    def join(self, box: Box) -> None:
        """This process becomes a driver there."""
        self.here = box
        self.there = self.agent if box is self.head else self.head
        tn.init("auto", home=str(box.home))

    @property
    def near(self) -> NodeAffinitySchedulingStrategy:
        return at(self.here.node)

    @property
    def far(self) -> NodeAffinitySchedulingStrategy:
        return at(self.there.node)

    def stored(self) -> tuple[int, int]:
        """(objects that the head counts, bytes that both stores use or have on disk)."""
        stores = [box.store() for box in (self.head, self.agent)]
        return stores[0]["objects"], sum(store["usedBytes"] + store["spilledBytes"] for store in stores)


@contextmanager
def boxes(*flags: str, of_agent: tuple[str, ...] | None = None, end: bool = True) -> Iterator[Boxes]:
    """Both are there. ``end``: at the end both are asked to stop, and must leave nothing; else they are only ended."""
    two = Boxes(*flags, of_agent=of_agent)
    try:
        two.start_head()
        two.start_agent()
        yield two
        tn.shutdown()
        if end:
            two.agent.stop()
            two.head.stop()
            for box in (two.agent, two.head):
                eventually(lambda box=box: box.left() == [], f"nothing is left of {box.home.name}")
    finally:
        tn.shutdown()
        for box in (two.agent, two.head):
            box.remove()


@contextmanager
def driven(where: str, *flags: str, of_agent: tuple[str, ...] | None = None) -> Iterator[Boxes]:
    """Two boxes, with this process as a driver on the ``head`` or the ``agent``. At its end all is free and both stores are empty."""
    with boxes(*flags, of_agent=of_agent) as two:
        two.join(getattr(two, where))
        whole = tn.cluster_resources()
        yield two
        gc.collect()
        eventually(lambda: tn.available_resources() == whole, "what tests took is free again")
        eventually(lambda: two.stored() == (0, 0), "both stores are empty")
