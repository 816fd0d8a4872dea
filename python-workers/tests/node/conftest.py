"""A home of its own for every test, and four fake GPUs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from twinkle_node import serve


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("TWINKLE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TWINKLE_PORT", "0")
    monkeypatch.setenv("TWINKLE_FAKE_DEVICES", "gpu:4")
    monkeypatch.delenv("TWINKLE_NODE_CLI", raising=False)
    yield tmp_path / "home"
    serve.shutdown()
    serve.start()
