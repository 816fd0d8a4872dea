"""Random puts, calls, drops and deaths on two boxes against a model of what must be readable, and of what must be gone."""

from __future__ import annotations

import gc
import json
import os
import random
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from actors_support import alive, eventually, said
from boxes_hands import LOST, Hands, content, digest, outcome
from boxes_support import MB, Box, Boxes, at, driven

import twinkle_node as tn

SEEDS = [int(one) for one in os.environ.get("TWINKLE_TEST_SEEDS", "1,2,3").split(",")]
STEPS = 120
HANDS = f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); import boxes_hands; boxes_hands.main()"
ACTS = ["put", "drop", "drop", "read", "open", "hand_on", "hand_on", "hand_on", "order", "lend"]


@pytest.fixture(scope="module", autouse=True, params=["head", "agent"])
def cluster(request: pytest.FixtureRequest) -> Iterator[Boxes]:
    with driven(request.param, "--object-store-memory", str(24 * MB)) as two:
        yield two


class Program:
    def __init__(self, box: Box) -> None:
        self.box = box
        self.node = box.node
        self.process: subprocess.Popen[str] = box.program(HANDS)
        assert said(self.process) == "ready"

    def begin(self, method: str, *args: Any) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps([method, *args]) + "\n")
        self.process.stdin.flush()

    def tell(self, method: str, *args: Any) -> Any:
        self.begin(method, *args)
        return json.loads(said(self.process))

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()


class Actor:
    """``name``: by which programs find it."""

    def __init__(self, node: str, name: str) -> None:
        self.node = node
        self.name = name
        self.handle = tn.remote(Hands).options(name=name, num_cpus=0, scheduling_strategy=at(node)).remote()
        self.pid = tn.get(self.handle.pid.remote(), timeout=60)

    def tell(self, method: str, *args: Any) -> Any:
        return outcome(lambda: tn.get(getattr(self.handle, method).remote(*args), timeout=60))

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        eventually(lambda: not alive(self.pid))


class World:
    def __init__(self, two: Boxes, seed: int) -> None:
        self.two = two
        self.chance = random.Random(seed)
        self.programs = [Program(box) for box in (two.head, two.agent)]
        self.lives = 0
        self.actors = [self.actor(node) for node in (two.head.node, two.agent.node) for _ in range(2)]
        self.objects: dict[str, tuple[int, int, list[str], str]] = {}
        """Name → seed, bytes, names inside, id."""
        self.holds: dict[Any, set[str]] = {one: set() for one in (*self.programs, *self.actors)}
        self.places: dict[str, str] = {}
        """Name → node where it was written."""
        self.frail: set[str] = set()
        """Names of objects that were on a box that was killed; there may be copies."""
        self.done: list[str] = []

    def actor(self, node: str) -> Actor:
        self.lives += 1
        return Actor(node, f"hands-{self.lives}")

    def reachable(self) -> set[str]:
        found: set[str] = set()
        waiting = [name for names in self.holds.values() for name in names]
        while waiting:
            name = waiting.pop()
            if name not in found:
                found.add(name)
                waiting += self.objects[name][2]
        return found

    def step(self) -> None:
        chance = self.chance
        who = chance.choice([*self.programs, *self.actors])
        held = sorted(self.holds[who])
        acts = ACTS if len(held) > 1 else ["put"]
        act = chance.choice(acts) if chance.random() > 0.05 else "kill"
        self.done.append(f"{act} {type(who).__name__} {held}")
        getattr(self, act)(who, held)

    def new(self, inside: list[str], maker: Any) -> tuple[str, int, int]:
        name = f"o{len(self.objects)}"
        size = self.chance.choice([110_000, 500_000, MB, 3 * MB])
        seed = self.chance.randrange(1 << 30)
        self.objects[name] = (seed, size, inside, "")
        self.places[name] = maker.node
        return name, seed, size

    def known(self, name: str, object_id: str) -> None:
        seed, size, inside, _ = self.objects[name]
        self.objects[name] = (seed, size, inside, object_id)

    def put(self, who: Any, held: list[str]) -> None:
        inside = self.chance.sample(held, min(len(held), self.chance.choice([0, 0, 1, 2])))
        name, seed, size = self.new(inside, who)
        self.known(name, who.tell("put", name, seed, size, inside))
        self.holds[who].add(name)

    def drop(self, who: Any, held: list[str]) -> None:
        name = self.chance.choice(held)
        who.tell("drop", name)
        self.holds[who].discard(name)

    def read(self, who: Any, held: list[str]) -> None:
        name = self.chance.choice(held)
        self.agrees(name, who.tell("read", name))

    def open(self, who: Any, held: list[str]) -> None:
        name = self.chance.choice(held)
        inside = self.objects[name][2]
        if who.tell("open", name, inside) == LOST:
            assert name in self.frail
            return
        self.holds[who].update(inside)

    def hand_on(self, who: Any, held: list[str]) -> None:
        name = self.chance.choice(held)
        if isinstance(who, Program):
            to = self.chance.choice(self.actors)
            who.tell("send", to.name, name)
        else:
            to = self.chance.choice(self.programs)
            to.tell("fetch", who.name, name)
        self.holds[to].add(name)

    def order(self, _who: Any, _held: list[str]) -> None:
        who, maker = self.chance.choice(self.programs), self.chance.choice(self.actors)
        name, seed, size = self.new([], maker)
        self.known(name, who.tell("order", maker.name, name, seed, size))
        self.holds[who].add(name)
        assert who.tell("read", name) == self.right(name), name  # so that it is there, whoever is killed

    def lend(self, who: Any, held: list[str]) -> None:
        name = self.chance.choice(held)
        if isinstance(who, Program):
            self.agrees(name, who.tell("lend", self.chance.choice(self.actors).name, name))

    def kill(self, who: Any, held: list[str]) -> None:
        """Sometimes in the middle of something that nobody else hears of."""
        del self.holds[who]
        if isinstance(who, Program):
            if held and self.chance.random() < 0.7:
                who.begin(*self.chance.choice([["read", held[0]], ["lend", self.actors[0].name, held[-1]]]))
            who.kill()
            fresh: Any = Program(who.box)
            self.programs[self.programs.index(who)] = fresh
        else:
            ref = who.handle.read.remote(held[0]) if held and self.chance.random() < 0.7 else None
            who.kill()
            del ref
            fresh = self.actor(who.node)
            self.actors[self.actors.index(who)] = fresh
        self.holds[fresh] = set()

    def kill_agent(self) -> None:
        """What is on it and nowhere else is lost; another agent comes."""
        self.done.append("kill agent")
        box = self.two.agent
        box.kill()
        self.frail |= {name for name, node in self.places.items() if node == box.node}
        for who in [*self.programs, *self.actors]:
            if who.node == box.node:
                del self.holds[who]
                if isinstance(who, Program):
                    who.kill()
        self.two.start_agent()
        eventually(self.two.whole)
        self.programs[1] = Program(box)
        self.actors[2:] = [self.actor(box.node) for _ in self.actors[2:]]
        self.holds |= {one: set() for one in (self.programs[1], *self.actors[2:])}

    def agrees(self, name: str, found: str) -> None:
        if found != LOST or name not in self.frail:
            assert found == self.right(name), name

    def right(self, name: str) -> str:
        seed, size, _, _ = self.objects[name]
        return digest(content(seed, size))

    def check(self) -> None:
        """What is held can be read by whoever holds it; what is not is gone."""
        for who, names in self.holds.items():
            for name in sorted(names):
                self.agrees(name, who.tell("read", name))
        wanted = {self.objects[name][3] for name in self.reachable()}
        gc.collect()
        eventually(lambda: self.listed() == wanted, f"{self.listed()} is {wanted}")

    def listed(self) -> set[str]:
        rows = json.loads(self.two.head.cli("list", "objects", "--json", "--home", str(self.two.head.home)))
        return {row["id"] for row in rows}

    def close(self) -> None:
        for program in self.programs:
            program.kill()


@pytest.mark.parametrize("seed", SEEDS)
def test_what_is_held_is_readable_and_nothing_else_is_there(cluster: Boxes, seed: int) -> None:
    world = World(cluster, seed)
    try:
        for number in range(1, STEPS + 1):
            world.step()
            if number % 40 == 0:
                world.check()
            if number % 50 == 0 and cluster.here is cluster.head:  # else it would be this program's end, too
                world.kill_agent()
        for who, names in world.holds.items():
            for name in sorted(names):
                who.tell("drop", name)
        eventually(lambda: cluster.stored() == (0, 0), "both stores are empty")
    except BaseException:
        print(*world.done[-30:], sep="\n")
        raise
    finally:
        world.close()
