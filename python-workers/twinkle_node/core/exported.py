"""Functions and classes, sent to another process once: under a key that is made of their bytes."""

from __future__ import annotations

import hashlib
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, NamedTuple

from ..errors import SerializationError
from .culprit import explain
from .names import type_name
from .pickler import dumps, loads


class Exported(NamedTuple):
    """``key``: the first 32 hex digits of the blob's sha256. ``name``: module and qualified name, for people."""

    key: str
    blob: bytes
    name: str


_exports: dict[int, tuple[weakref.ref[Any], Exported]] = {}


def export(obj: Any) -> Exported:
    """The function or class as what travels.

    Pickled when it is first asked for, and remembered while ``obj`` lives: what changes in its globals or closure after
    that is not sent. Raises SerializationError.
    """
    at = id(obj)
    found = _exports.get(at)
    if found is not None and found[0]() is obj:
        return found[1]
    exported = _export(obj)

    def forget(gone: weakref.ref[Any]) -> None:
        # May run anywhere: takes no lock.
        entry = _exports.get(at)
        if entry is not None and entry[0] is gone:
            del _exports[at]

    try:
        entry = (weakref.ref(obj, forget), exported)
    except TypeError:
        return exported  # remembers nothing of what has no weak references
    return _exports.setdefault(at, entry)[1]


def _export(obj: Any) -> Exported:
    name = _name_of(obj)
    try:
        blob = dumps(obj)
    except Exception as error:
        raise explain(((name, obj),), error) from error
    return Exported(key_of(blob), blob, name)


def key_of(blob: bytes) -> str:
    """The key of what was exported."""
    return hashlib.sha256(blob).hexdigest()[:32]


def _name_of(obj: Any) -> str:
    if isinstance(getattr(obj, "__qualname__", None), str):
        return type_name(obj)
    return type_name(type(obj))


class Imported:
    """Loaded objects by key: the last ``limit`` that were used. Thread-safe; two threads that ask for one key load it once."""

    def __init__(self, limit: int = 1_000) -> None:
        self._limit = limit
        self._loaded: OrderedDict[str, Any] = OrderedDict()
        self._loading: dict[str, threading.RLock] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._loaded)

    def get(self, key: str, fetch: Callable[[], bytes]) -> Any:
        """The object. ``fetch`` gives the blob where it is not loaded yet, outside of locks that other keys need.

        What ``fetch`` or loading raises is raised, and the next who asks tries again. SerializationError: the blob is not
        what the key says.
        """
        with self._lock:
            if key in self._loaded:
                self._loaded.move_to_end(key)
                return self._loaded[key]
            # Reentrant: loading may import a module that asks for the same key.
            own = self._loading.setdefault(key, threading.RLock())
        with own:
            with self._lock:
                if key in self._loaded:
                    return self._loaded[key]
            try:
                return self._keep(key, _load(key, fetch()))
            finally:
                with self._lock:
                    if self._loading.get(key) is own:
                        del self._loading[key]

    def _keep(self, key: str, obj: Any) -> Any:
        """The object of that key from now on: an earlier one, if loading this one has loaded that."""
        dropped = []
        with self._lock:
            obj = self._loaded.setdefault(key, obj)
            self._loaded.move_to_end(key)
            while len(self._loaded) > self._limit:
                # Let go of outside of the lock: what it takes along may call back.
                dropped.append(self._loaded.popitem(last=False))
        return obj


def _load(key: str, blob: bytes) -> Any:
    if key_of(blob) != key:
        raise SerializationError(
            f"expected the code of the key {key} but received that of {key_of(blob)}; send it again"
        )
    return loads(blob)
