"""Who has references in the random test of two boxes: an actor, or a program that is told what to do line by line."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

import twinkle_node as tn


def content(seed: int, size: int) -> Any:
    return np.random.default_rng(seed).integers(0, 255, size, dtype=np.uint8)


LOST = "LOST"
"""Answers who reads what went with its box."""


def outcome(act: Callable[[], Any]) -> Any:
    try:
        return act()
    except tn.TwinkleError as error:
        if "OBJECT_LOST" in str(error):
            return LOST
        raise


def digest(array: Any) -> str:
    return hashlib.sha256(np.ascontiguousarray(array).data).hexdigest()


class Hands:
    """References by name. A value is ``(array, references inside)``."""

    def __init__(self) -> None:
        self.held: dict[str, Any] = {}

    def put(self, name: str, seed: int, size: int, inside: list[str]) -> str:
        self.held[name] = tn.put((content(seed, size), [self.held[one] for one in inside]))
        return self.held[name].id

    def drop(self, name: str) -> None:
        del self.held[name]

    def read(self, name: str) -> str:
        return digest(tn.get(self.held[name], timeout=60)[0])

    def open(self, name: str, names: list[str]) -> None:
        """Hold what is inside, too."""
        for one, ref in zip(names, tn.get(self.held[name], timeout=60)[1], strict=True):
            self.held.setdefault(one, ref)

    def give(self, name: str) -> list[Any]:
        return [self.held[name]]

    def take(self, name: str, wrapped: list[Any]) -> None:
        self.held.setdefault(name, wrapped[0])

    def digest_of(self, value: Any) -> str:
        return digest(value[0])

    def make(self, seed: int, size: int) -> Any:
        return content(seed, size), []

    # ---- of programs: with actors ----

    def send(self, actor: str, name: str) -> None:
        tn.get(tn.get_actor(actor).take.remote(name, [self.held[name]]), timeout=60)

    def fetch(self, actor: str, name: str) -> None:
        self.take(name, tn.get(tn.get_actor(actor).give.remote(name), timeout=60))

    def lend(self, actor: str, name: str) -> str:
        """That one gets the value as an argument."""
        return tn.get(tn.get_actor(actor).digest_of.remote(self.held[name]), timeout=60)

    def order(self, actor: str, name: str, seed: int, size: int) -> str:
        self.held[name] = tn.get_actor(actor).make.remote(seed, size)
        return self.held[name].id

    def pid(self) -> int:
        return os.getpid()


def main() -> None:
    """Each line of stdin is ``[method, arguments…]``, and is answered by one."""
    tn.init("auto")
    hands = Hands()
    print("ready", flush=True)
    for line in sys.stdin:
        method, *args = json.loads(line)
        print(json.dumps(outcome(functools.partial(getattr(hands, method), *args))), flush=True)
