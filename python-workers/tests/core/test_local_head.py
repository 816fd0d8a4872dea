"""Finding a head, and one that cannot be started."""

from __future__ import annotations

import gc
import json
import os
import stat
import tempfile
from pathlib import Path

import pytest

from twinkle_node.core.local_head import FoundHead, LocalHead, connect_to, find_head, home_folder
from twinkle_node.errors import TwinkleError


def write(home: Path, name: str, content: str) -> None:
    (home / "instances").mkdir(exist_ok=True)
    (home / "instances" / name).write_text(content)


def own_start() -> str:
    return Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19]


def test_a_head_is_found_among_what_else_is_there(tmp_path: Path) -> None:
    assert find_head(str(tmp_path)) is None
    running = {"kind": "head", "workSocket": "/s", "pid": os.getpid(), "pidStart": own_start()}
    for number, other in enumerate(
        ["", "{", "[]", "7", "null", "{}", '{"kind": "head", "workSocket": "/x"}']
        + [
            json.dumps({**running, **change})
            for change in ({"kind": "serve"}, {"pidStart": "1"}, {"pid": 2**30}, {"workSocket": None})
        ]
    ):
        write(tmp_path, f"{number:02}.json", other)
    assert find_head(str(tmp_path)) is None
    write(tmp_path, "99.json", json.dumps(running))
    assert find_head(str(tmp_path)) == FoundHead(tmp_path, "/s")


def test_the_home_is_what_is_written_or_the_environment_s(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TWINKLE_HOME", "/env")
    assert home_folder(None) == Path("/env")
    assert home_folder("/written") == Path("/written")


def test_a_head_that_does_not_answer(tmp_path: Path) -> None:
    with pytest.raises(TwinkleError) as raised:
        connect_to(FoundHead(tmp_path, str(tmp_path / "none")))
    assert raised.value.code == "HEAD_UNREACHABLE"


@pytest.mark.parametrize(
    "script", ["echo 'the port is taken' >&2; exit 3", "printf '\\377\\376 the port is taken' >&2"]
)
def test_a_head_that_cannot_be_started_says_why_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str
) -> None:
    cli = tmp_path / "cli"
    cli.write_text(f"#!/bin/sh\n{script}\n")
    cli.chmod(cli.stat().st_mode | stat.S_IXUSR)
    folder = tmp_path / "temp"
    folder.mkdir()
    monkeypatch.setenv("TWINKLE_NODE_CLI", str(cli))
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    gc.collect()  # what earlier tests left is not counted
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(TwinkleError, match="the port is taken") as raised:
        LocalHead(1, None, {})
    assert raised.value.code == "HEAD_UNREACHABLE"
    assert list(folder.iterdir()) == []
    assert len(os.listdir("/proc/self/fd")) <= before
