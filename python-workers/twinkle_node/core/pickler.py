"""The pickler of values: C speed for plain data, cloudpickle's rules for functions and classes, and references that are no data."""

from __future__ import annotations

import copyreg
import io
import pickle
import threading
from collections.abc import Callable
from types import FunctionType
from typing import Any, ClassVar, TypeVar

import cloudpickle

from ..errors import SerializationError

RefHook = Callable[[Any], tuple[Any, ...]]
"""Called with an instance of a registered class that is found in a value; returns what travels in its place: plain data, a tag
and an id first (``("ref", id)``, ``("actor", id, ...)``)."""

PersistentLoad = Callable[[tuple[Any, ...]], Any]
"""Called with what a RefHook returned elsewhere; returns the object that stands for it here."""

Kind = TypeVar("Kind", bound=type)

_references: set[type] = set()
_loading = threading.local()


def reference_class(kind: Kind) -> Kind:
    """Registers a class (not its subclasses) whose instances are references: they travel as what a RefHook makes of them. A decorator."""
    _references.add(kind)
    return kind


def is_reference(kind: type) -> bool:
    """Whether instances of the class travel as what a RefHook makes of them."""
    return kind in _references


def restore(*payload: Any) -> Any:
    """What stands in a stream for a reference: the loader of the ``loads`` that is under way makes an object of it."""
    load: PersistentLoad | None = getattr(_loading, "load", None)
    if load is None:
        raise SerializationError(
            f"expected a loader for {payload[:2]!r} but there is none; unpack with `persistent_load`"
        )
    return load(payload)


class ValuePickler(cloudpickle.Pickler):
    """Pickles by protocol 5. References are no `persistent_id`: that would be asked about every number of a list.

    ``refs`` has the ids of the references (what their payloads have after the tag), in the order they were found.
    """

    # cloudpickle looks through two mappings for every instance; one dict is found by C.
    dispatch_table: ClassVar = dict(cloudpickle.Pickler.dispatch_table)

    def __init__(
        self,
        file: io.BytesIO,
        buffer_callback: Callable[[pickle.PickleBuffer], Any] | None = None,
        ref_hook: RefHook | None = None,
    ) -> None:
        super().__init__(file, 5, buffer_callback)
        self.ref_hook = ref_hook
        self.refs: list[str] = []

    def reducer_override(self, obj: Any) -> Any:
        """Asked about everything but plain data: a class is looked up in its module first, and goes by value if it is not there."""
        kind = type(obj)
        if kind is FunctionType or issubclass(kind, type):
            reduced = super().reducer_override(obj)
            if reduced is not NotImplemented:
                return reduced
        elif kind in _references:
            return self._reference(obj)
        late = copyreg.dispatch_table.get(kind)  # what was registered after this class was made
        return NotImplemented if late is None else late(obj)

    def _reference(self, obj: Any) -> Any:
        if self.ref_hook is None:
            raise SerializationError(
                f"a {type(obj).__name__} cannot travel in here; hand it over as an argument or a result"
            )
        payload = self.ref_hook(obj)
        self.refs.append(payload[1])
        return restore, payload


def dumps(value: Any, ref_hook: RefHook | None = None) -> bytes:
    """One stream with everything in it, no buffers beside it."""
    file = io.BytesIO()
    ValuePickler(file, None, ref_hook).dump(value)
    return file.getvalue()


def loads(head: bytes | memoryview, buffers: Any = (), persistent_load: PersistentLoad | None = None) -> Any:
    """What was pickled. ``persistent_load`` holds for this call and this thread."""
    if persistent_load is None:
        return pickle.loads(head, buffers=buffers)
    before = getattr(_loading, "load", None)
    _loading.load = persistent_load
    try:
        return pickle.loads(head, buffers=buffers)
    finally:
        _loading.load = before
