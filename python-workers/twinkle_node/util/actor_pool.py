"""Work for several actors of a kind: each takes the next when it is done with its last."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from ..core.api import get, wait
from ..core.handle import ActorHandle
from ..core.refs import ObjectRef

Work = Callable[[ActorHandle, Any], Any]
"""(actor, value) → what its call returned: ``lambda actor, value: actor.double.remote(value)``."""


class ActorPool:
    """Not thread-safe. Results come in the order of the submits (``get_next``) or as they are there (``get_next_unordered``)."""

    def __init__(self, actors: Iterable[ActorHandle]) -> None:
        self._idle = list(actors)
        self._waiting: deque[tuple[Work, Any]] = deque()
        self._running: dict[int, tuple[Any, ActorHandle]] = {}  # by number, in their order
        self._next = 0

    def map(self, fn: Work, values: Iterable[Any]) -> Iterator[Any]:
        """Results in the order of the values. Results of earlier submits are thrown away."""
        return self._map(fn, values, self.get_next)

    def map_unordered(self, fn: Work, values: Iterable[Any]) -> Iterator[Any]:
        """Results as they are there. Results of earlier submits are thrown away."""
        return self._map(fn, values, self.get_next_unordered)

    def submit(self, fn: Work, value: Any) -> None:
        """Have the next idle actor do it: now, or when one has done what was submitted before."""
        if not self._idle:
            self._waiting.append((fn, value))
            return
        actor = self._idle.pop()
        self._running[self._next] = fn(actor, value), actor
        self._next += 1

    def has_next(self) -> bool:
        """There are results that were not got."""
        return bool(self._running)

    def get_next(self, timeout: float | None = None, ignore_if_timedout: bool = False) -> Any:
        """The result that was submitted first. Raises what its call raised, StopIteration when there is none, TimeoutError.

        ``ignore_if_timedout``: one that was not there in time is thrown away, and its actor takes the next.
        """
        if not self.has_next():
            raise StopIteration("there are no more results")
        number = next(iter(self._running))
        if timeout is not None and not self._ready([self._running[number][0]], timeout):
            if not ignore_if_timedout:
                raise TimeoutError(f"the next result was not there within {timeout:g} s")
            self._take(number)
            raise TimeoutError(f"the next result was not there within {timeout:g} s, and is thrown away")
        return get(self._take(number))

    def get_next_unordered(self, timeout: float | None = None, ignore_if_timedout: bool = False) -> Any:
        """A result that is there. Raises what its call raised, StopIteration when there is none, TimeoutError."""
        if not self.has_next():
            raise StopIteration("there are no more results")
        ready = self._ready([made for made, _ in self._running.values()], timeout)
        if not ready:
            said = f"no result was there within {timeout or 0:g} s"
            raise TimeoutError(f"{said}, and none is waited for" if ignore_if_timedout else said)
        number = next(number for number, (made, _) in self._running.items() if _first(made) == ready[0])
        return get(self._take(number))

    def has_free(self) -> bool:
        """An actor is idle, and no work waits for one."""
        return bool(self._idle) and not self._waiting

    def pop_idle(self) -> ActorHandle | None:
        """Take an idle actor out of the pool; None: there is none."""
        return self._idle.pop() if self.has_free() else None

    def push(self, actor: ActorHandle) -> None:
        """One more actor. Raises ValueError for one that is in the pool."""
        if actor in self._idle or any(actor == busy for _, busy in self._running.values()):
            raise ValueError(f"expected an actor that is not in the pool but received {actor!r}")
        self._free(actor)

    def _map(self, fn: Work, values: Iterable[Any], take: Callable[[], Any]) -> Iterator[Any]:
        self._waiting.clear()
        while self.has_next():
            self._take(next(iter(self._running)))
        for value in values:
            self.submit(fn, value)

        def results() -> Iterator[Any]:
            while self.has_next():
                yield take()

        return results()

    def _ready(self, made: list[Any], timeout: float | None) -> list[ObjectRef]:
        return wait([_first(one) for one in made], num_returns=1, timeout=timeout)[0]

    def _take(self, number: int) -> Any:
        made, actor = self._running.pop(number)
        self._free(actor)
        return made

    def _free(self, actor: ActorHandle) -> None:
        self._idle.append(actor)
        if self._waiting:
            self.submit(*self._waiting.popleft())


def _first(made: Any) -> ObjectRef:
    """Of a call with ``num_returns`` all are there at once."""
    return made[0] if isinstance(made, list) else made
