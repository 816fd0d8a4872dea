"""Temporary: no routes until asgi/app are there."""
from __future__ import annotations
from typing import Any
from ...protocol import HttpParams
from ..base import RequestError
class Relay:
    def __init__(self, llm: Any, arguments: Any, progress: Any) -> None:
        self.routes: list[str] = []
        self.ready = False
    def add(self, stream: int, params: HttpParams) -> None:
        raise RequestError("ROUTE_NOT_FOUND", params.path)
    def adapter(self, name: str) -> Any:
        raise RequestError("MODEL_NOT_FOUND", name)
    def abort(self, stream: int) -> None: ...
    def has_work(self) -> bool: return False
    def turn(self, items: list) -> None: ...
    def close(self) -> None: ...
