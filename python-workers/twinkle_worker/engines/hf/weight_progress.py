"""Reports how far transformers is with loading weights, in place of its progress bars on stderr."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from ..base import Progress

_LEAST_SECONDS = 0.1
"""Between two reports."""


class _Bar:
    """What transformers takes for a progress bar: iterates and reports."""

    def __init__(self, items: Any, total: int, report: Callable[[int, int], None]) -> None:
        self._items = items
        self._total = total
        self._report = report

    def __iter__(self) -> Iterator[Any]:
        for at, item in enumerate(self._items):
            self._report(at, self._total)
            yield item

    def __enter__(self) -> _Bar:
        return self

    def __exit__(self, *_: object) -> None:
        return

    def __getattr__(self, name: str) -> Callable[..., None]:
        if name.startswith("__"):
            raise AttributeError(name)
        return lambda *_args, **_kwargs: None


@contextmanager
def weight_progress(progress: Progress) -> Iterator[None]:
    """While open, every progress bar of transformers becomes calls of ``progress("weights", …)``."""
    from transformers.utils import logging

    last = 0.0

    def report(at: int, total: int) -> None:
        nonlocal last
        now = time.monotonic()
        if total > 0 and now - last >= _LEAST_SECONDS:
            last = now
            progress("weights", min(1.0, at / total), f"{at} of {total}")

    def hook(_factory: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> _Bar:
        items = args[0] if args else kwargs.get("iterable", ())
        total = kwargs.get("total") or (len(items) if hasattr(items, "__len__") else 0)
        return _Bar(items, total, report)

    install = getattr(logging, "set_tqdm_hook", None)
    previous = install(hook) if install is not None else None
    try:
        yield
    finally:
        if install is not None:
            install(previous)
