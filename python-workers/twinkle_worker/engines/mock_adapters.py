"""Adapters of the mock engine: the two commands that load and unload them, answered as vLLM does. Knows no request that uses one."""

from __future__ import annotations

import json
import zlib
from pathlib import Path
from typing import Any

from ..protocol import HttpPart
from .adapter_routes import LOAD, done, unknown_adapter


class MockAdapter:
    """A loaded adapter. ``key`` is a checksum of its files and stands for its weights; a load in place changes it."""

    def __init__(self, key: int) -> None:
        self.key = key


class MockAdapters:
    """The loaded ones, by name."""

    def __init__(self) -> None:
        self._loaded: dict[str, MockAdapter] = {}

    def get(self, name: str) -> MockAdapter:
        """A loaded adapter. Raises RequestError."""
        found = self._loaded.get(name)
        if found is None:
            raise unknown_adapter(name)
        return found

    def command(self, path: str, body: str) -> HttpPart:
        """Do what a request for ``LOAD`` or ``UNLOAD`` asks."""
        asked: dict[str, Any] = json.loads(body or "{}")
        name = asked.get("lora_name")
        if not isinstance(name, str) or name == "":
            return _refusal(400, "'lora_name' must be provided.")
        return self._load(name, asked) if path == LOAD else self._unload(name)

    def _load(self, name: str, asked: dict[str, Any]) -> HttpPart:
        folder = asked.get("lora_path")
        if not isinstance(folder, str) or folder == "":
            return _refusal(400, "Both 'lora_name' and 'lora_path' must be provided.")
        known = self._loaded.get(name)
        if known is not None and asked.get("load_inplace") is not True:
            return _refusal(400, f"The lora adapter '{name}' has already been loaded.")
        try:
            key = _checksum(Path(folder))
        except OSError as error:
            return _refusal(400, f"'{folder}' is no PEFT adapter: {error}")
        if known is None:
            self._loaded[name] = MockAdapter(key)
        else:
            known.key = key
        return done(name, "added")

    def _unload(self, name: str) -> HttpPart:
        if self._loaded.pop(name, None) is None:
            return _refusal(404, f"The lora adapter '{name}' cannot be found.")
        return done(name, "removed")


def _checksum(folder: Path) -> int:
    config = (folder / "adapter_config.json").read_bytes()
    weights = folder / "adapter_model.safetensors"
    return zlib.crc32(weights.read_bytes() if weights.exists() else b"", zlib.crc32(config))


def _refusal(status: int, message: str) -> HttpPart:
    body = {"error": {"message": message, "type": "InvalidUserInput", "param": None, "code": status}}
    return HttpPart(status=status, headers=[("content-type", "application/json")], body=json.dumps(body).encode())
